"""Assets, checks, jobs, schedules and sensors of your own: every module here is loaded beside the project's.

``dg scaffold defs dagster.asset my_asset.py`` makes one; docs/your-assets.md shows how it reads the project's tables.
"""
