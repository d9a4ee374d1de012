"""AllTalk: a self-hosted text-to-speech server."""

__version__ = "3.0.0"
