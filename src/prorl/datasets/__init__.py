"""Stage 1, data sets: public data sets and a user's own files, made into clean files of prompt rows.

See `docs/datasets.md`.
"""
