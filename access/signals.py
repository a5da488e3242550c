"""What happens while signing in, for whoever records it: rooms above listen."""

from django.dispatch import Signal

joined = Signal()  # user, invitation: somebody came by an invitation
