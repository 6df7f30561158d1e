"""Starts and supervises the processes of one installation; knows processes, not the application."""
