"""What happens while signing in, for whoever records it: rooms above listen."""

from django.dispatch import Signal

invited = Signal()  # invitation, path: its link is to be sent by mail
joined = Signal()  # user, invitation: somebody came by an invitation
factor_changed = Signal()  # user, kind (totp, webauthn, recovery_codes), is_new: set up, or removed
session_ended = Signal()  # user, session: their own, from another browser
refused = Signal()  # request, user (or None), reason: a login that another side or a setting did not let through
