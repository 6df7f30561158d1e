"""Forms to make an account."""

from django.contrib.auth.forms import BaseUserCreationForm

from .models import User


class AccountForm(BaseUserCreationForm):
    """Name and password, twice; used for the first administrator and for sign-up."""

    class Meta:
        model = User
        fields = ("username",)
