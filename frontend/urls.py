"""The addresses of the pages."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import URLPattern, URLResolver, path

from frontend import views

app_name = "frontend"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("rate", views.rate, name="rate"),
    path("mine", views.mine, name="mine"),
    path("mine/passes/<uuid:uid>/take-back", views.take_back, name="take-back"),
    path("safety", views.safety, name="safety"),
    path("guidelines", views.guidelines, name="guidelines"),
    path("sign-in", views.SignInView.as_view(), name="sign-in"),
    path("sign-out", LogoutView.as_view(), name="sign-out"),
]
