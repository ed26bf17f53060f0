"""Tests of media types other than JSON."""
