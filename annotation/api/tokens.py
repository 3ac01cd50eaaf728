"""Access tokens: a person's own, made and revoked in a browser alone, so that no token breeds others."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final

from django.db.models import QuerySet
from django.utils import timezone
from pydantic import Field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import token_for, tokens_for
from annotation.api.bodies import SOME, Body
from annotation.api.kit.bodies import read, well_formed
from annotation.api.kit.idempotency import keep_instead
from annotation.api.kit.schema import operation
from annotation.api.kit.views import Collection, Item
from annotation.core.scopes import Scope
from annotation.models import AccessToken, Role
from annotation.services.tokens import LIFETIME, make_token, revoke_token

EXAMPLE: Final[dict[str, Any]] = {
    "id": 12,
    "name": "Nightly export",
    "prefix": "margin_Yk3pQz",
    "account": "rosa",
    "scopes": ["snapshots:read"],
    "expires_at": "2026-04-05T09:30:00Z",
    "last_used_at": None,
    "revoked_at": None,
    "created_at": "2026-01-05T09:30:00Z",
}


class TokenSerializer(serializers.ModelSerializer[AccessToken]):
    """All that is known of a token: its text is kept nowhere."""

    account = serializers.CharField(source="user.username", help_text="Whose account it acts for.")
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=[str(scope) for scope in Scope]))

    class Meta:
        model = AccessToken
        fields = list(EXAMPLE)


class NewTokenSerializer(TokenSerializer):
    """A token that was just made, with its text, which is shown this once; null where the request is repeated."""

    token = serializers.CharField(allow_null=True)

    class Meta(TokenSerializer.Meta):
        fields = [*EXAMPLE, "token"]


class TokenBody(Body):
    """`days` is how long it works; null: without end."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=SOME)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    days: Annotated[int, Field(ge=1, le=3650)] | None = LIFETIME.days


class Tokens(Collection):
    """List access tokens that were not revoked, the newest first: your own, and as an administrator everybody's."""

    name = "tokens"
    role = Role.REVIEWER
    serializer_class = TokenSerializer
    example = EXAMPLE

    def rows(self) -> QuerySet[AccessToken]:
        return tokens_for(self.person)

    @operation(
        body=TokenBody,
        body_example={"name": "Nightly export", "scopes": ["snapshots:read"], "days": 90},
        answer=NewTokenSerializer,
        answer_example={**EXAMPLE, "token": "margin_Yk3pQz…"},
        status=201,
    )
    def create(self, request: Request) -> Response:
        """Make an access token for yourself. Its text is in this answer and nowhere else."""
        body = read(request, TokenBody)
        ends = None if body.days is None else timezone.now() + timedelta(days=body.days)
        with well_formed():
            row, text = make_token(user=self.person, name=body.name, scopes=body.scopes, expires_at=ends)
        shown = TokenSerializer(row).data
        response = Response({**shown, "token": text}, status=status.HTTP_201_CREATED)
        keep_instead(response, json.dumps({**shown, "token": None}))
        return response


class OneToken(Item):
    """Read what is known of one access token."""

    name = "tokens"
    role = Role.REVIEWER
    serializer_class = TokenSerializer
    example: ClassVar[dict[str, Any]] = EXAMPLE

    def row(self, **kwargs: Any) -> AccessToken:
        return token_for(self.person, kwargs["pk"])

    @operation("tokens_revoke", status=204)
    def delete(self, request: Request, pk: int) -> Response:
        """Revoke a token: it works no more from now on."""
        revoke_token(token=token_for(self.person, pk), by=self.person)
        return Response(status=status.HTTP_204_NO_CONTENT)
