"""The admission webhook.

admission.py      which objects are refused
authorization.py  whether a user may create Pods
reviews.py        the server
tls.py            the certificate it shows
certificates.py   the certificate that the controller makes itself
"""
