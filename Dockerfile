# The image "umbra": Debian with the package umbra, nothing to build with, no root.
#
#   docker build --tag umbra --build-arg REVISION=$(git rev-parse --short=12 HEAD) .      compiles everything (minutes)
#   docker build --tag umbra --build-arg PACKAGE=build/packages/umbra_0.1.0_amd64.deb .   of a package that `make package` made
#
# Add `--network host` where the network of a build has no way out. Without a registry: scripts/base_image makes debian:bookworm-slim.
FROM debian:bookworm-slim AS package
ARG PACKAGE=
WORKDIR /src
COPY scripts/setup scripts/setup
RUN [ -n "$PACKAGE" ] || scripts/setup --build
COPY . .
ARG REVISION=
RUN if [ -n "$PACKAGE" ]; then cp "$PACKAGE" /umbra.deb; else \
      cmake --preset release --log-level=WARNING -D UMBRA_COMMIT="$REVISION" && cp "$(scripts/package)" /umbra.deb; \
    fi

FROM debian:bookworm-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="umbra" \
      org.opencontainers.image.description="Clustered SMTP relay that keeps every acknowledged message on two machines" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
# Numbers that do not change: volumes outlive images, and Kubernetes wants to see that they are not root.
RUN groupadd --gid 10025 umbra && \
    useradd --uid 10025 --gid 10025 --no-create-home --home-dir /var/lib/umbra --shell /usr/sbin/nologin umbra && \
    install -d -m 0750 -o umbra -g umbra /run/umbra /etc/umbra/secret
COPY --from=package /umbra.deb /tmp/umbra.deb
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates /tmp/umbra.deb && \
    rm -rf /tmp/umbra.deb /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log /var/cache/debconf/*-old
USER 10025:10025
WORKDIR /var/lib/umbra
VOLUME /var/lib/umbra
EXPOSE 2525 2526 9625
STOPSIGNAL SIGTERM
# The hub answers. Whether it takes mail, /healthz/ready says.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15m CMD ["/usr/bin/umbra", "status"]
ENTRYPOINT ["/usr/bin/umbra"]
CMD ["run", "--config", "/etc/umbra/hub.yaml"]
