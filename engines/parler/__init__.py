"""Parler-TTS: speaks in the voice that a description asks for."""
