"""A zoo of media files: one small file for each oddity of real uploads, and what a viewer sees and hears of it.

Begin reading at `truth`. `cases` has the files, `trial` puts them through the jobs, `judging` compares.
"""
