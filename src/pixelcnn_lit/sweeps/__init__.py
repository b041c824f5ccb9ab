"""Sweeps: grids and searches that run each job as its own process, on one machine or a cluster.

A sweeper determines the jobs; all its state is in folders, so it can be restarted. A launcher runs the jobs' commands
and returns when they have ended. The result of a job is read from its folder (:mod:`pixelcnn_lit.storage.run_folder`).
"""
