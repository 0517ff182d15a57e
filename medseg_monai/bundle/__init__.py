"""Bundles: folders of JSON, each a network and its recipe; where they lie, what they trained, and how one is run.

================== ==================================================================================
`paths`            where bundles and weights lie: found by name, written elsewhere than to the program's own
`trained`          weights that describe themselves, in the spec.json beside them
`workflow`         a config run with checked overrides
`config_keys`      a config checks its own keys
`literals`         what comes from outside, as values in a config and never as code
`assignments`      what ``--set KEY=VALUE`` says
================== ==================================================================================
"""
