"""Conjugate families that several modules learn by in closed form; no module itself."""
