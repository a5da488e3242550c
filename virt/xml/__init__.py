"""libvirt's XML documents as dataclasses: build, parse, update. Bytes outside, KiB only inside the XML.

No policy lives here: which CPU, which pool, which default network is decided by the callers.
"""
