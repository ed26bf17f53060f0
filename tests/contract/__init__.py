"""Tests of what is published against what is done."""
