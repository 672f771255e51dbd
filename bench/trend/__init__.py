"""Emotion over the course of calls, and groups of calls compared (Wang et al., arXiv 2501.08696,
IV.E and V.C).
"""
