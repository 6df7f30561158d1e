"""A candidate against the live model, the gates before it goes live, and what was live when."""
