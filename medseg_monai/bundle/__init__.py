"""Bundles: folders of JSON, each a network and its recipe; where they are, what they trained, and how to run one.

================== ==================================================================================
`paths`            finding bundles and weights by name; where to write instead of the program's own files
`trained`          weights that describe themselves, in the spec.json beside them
`workflow`         running a config with checked overrides
`config_keys`      a config checks its own keys
`literals`         text from outside as values in a config, never as code
`assignments`      parsing ``--set KEY=VALUE``
================== ==================================================================================
"""
