"""Many runs from one command: grids and searches whose jobs are processes of their own, on one machine or a cluster.

A sweeper says which jobs there are and keeps nothing in memory that is not in a folder; a launcher runs commands
somewhere and comes back when they have ended; how each job ended is read from its folder
(:mod:`pixelcnn_lit.storage.run_folder`).
"""
