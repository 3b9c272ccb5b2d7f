"""Mutation testing of chosen modules of ``core``: does a test notice when one thing in the code is changed?"""
