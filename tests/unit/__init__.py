"""Tests of single modules; they mirror `server/`."""
