"""How the bundled encoder seemory-mini is made; see README.md here."""
