"""What happens when a replica is slow, overloaded or lost: who else is asked, when, and with what."""
