"""The addresses of the pages."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import URLPattern, URLResolver, path

from frontend import join, qualify, views

app_name = "frontend"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("rate", views.rate, name="rate"),
    path("mine", views.mine, name="mine"),
    path("mine/passes/<uuid:uid>/take-back", views.take_back, name="take-back"),
    path("mine/returned/<int:pk>/put-away", views.put_away, name="put-away"),
    path("safety", views.safety, name="safety"),
    path("guidelines", views.guidelines, name="guidelines"),
    path("qualify", qualify.qualify, name="qualify"),
    path("qualify/<int:pk>", qualify.step, name="qualify-step"),
    path("qualify/<int:pk>/preview", qualify.preview, name="qualify-preview"),
    path("qualify/attempts/<int:pk>", qualify.attempt, name="attempt"),
    path("qualify/attempts/<int:pk>/hand-in", qualify.hand_in, name="hand-in"),
    path("join", join.join_page, name="join"),
    path("join/<str:token>", join.open_link, name="join-link"),
    path("sign-in", views.SignInView.as_view(), name="sign-in"),
    path("sign-out", LogoutView.as_view(), name="sign-out"),
]
