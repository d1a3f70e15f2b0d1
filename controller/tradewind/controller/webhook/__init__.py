"""The admission webhook.

admission.py      reviews each kind of object
authorization.py  checks that a user may create Pods
reviews.py        the server
tls.py            the server's certificate
certificates.py   creates a certificate where none is provided
"""
