"""Tone: voices are sine waves and words are beeps, so that a test can hear who said how much."""
