"""Distillation: small networks that learn from the answers of larger ones.

teachers.py   trained weights whose probabilities are averaged
answers.py    those probabilities of each case, in files, computed once
data.py       the data set with them as soft labels, and pictures without labels
"""
