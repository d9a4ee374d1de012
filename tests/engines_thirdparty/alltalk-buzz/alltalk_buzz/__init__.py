"""Buzz, an engine for AllTalk."""
