# The controller's image. Build it with any builder:
#   docker build -t tradewind:0.1.0 .
#   buildah bud --isolation chroot -t tradewind:0.1.0 .
ARG BASE=docker.io/library/python:3.11-slim

FROM ${BASE} AS build
# A package index of your own and its CA, if you have one: --build-arg PIP_INDEX_URL=… --build-arg PIP_CERT=…
ARG PIP_INDEX_URL PIP_CERT
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python3 -m venv /opt/tradewind
# The dependencies have a layer of their own, which stays cached when the code changes.
COPY pyproject.toml constraints.txt ./
RUN python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' > requirements.txt \
 && /opt/tradewind/bin/pip install --constraint constraints.txt --requirement requirements.txt
COPY README.md LICENSE ./
COPY controller controller
RUN /opt/tradewind/bin/pip install --no-deps . \
 && /opt/tradewind/bin/pip check \
 && /opt/tradewind/bin/pip uninstall --yes setuptools pip

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Tradewind" \
      org.opencontainers.image.description="Workflows as Kubernetes resources: the controller and the tradewind command" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/tradewind /opt/tradewind
# The user has no entry in /etc/passwd, so its name and home come from here.
ENV PATH=/opt/tradewind/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    USER=tradewind
WORKDIR /tmp
USER 65532:65532
ENTRYPOINT ["tradewind"]
CMD ["controller"]
