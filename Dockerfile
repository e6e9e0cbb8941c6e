# DockFlow in one container: server, command line, web UI, and a PostgreSQL for when DATABASE_URL is not given.
#   docker build -t dockflow .          or: ./dev image
# Needs the engine's classic builder only.
ARG BASE=debian:bookworm-slim

# --- tools: Debian's packages and the third-party libraries, which change least ----------------------------------------
FROM ${BASE} AS tools
WORKDIR /src
ENV DEBIAN_FRONTEND=noninteractive XDG_CACHE_HOME=/cache LC_ALL=C.UTF-8
COPY dev ./
RUN ./dev install build && rm -rf /var/lib/apt/lists/*
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake ./cmake/
RUN ./dev third-party release && rm -rf build

# --- build: the UI from the npm registry, unless it is built already -------------------------------------------------
FROM tools AS build
COPY . .
RUN if [ -f frontend/dist/index.html ]; then ./dev build release --no-ui; else ./dev build release; fi \
    && strip --strip-debug build/release/dockflow build/release/dsctl \
    && mkdir -p /out/usr/local/bin /out/etc/dockflow /out/usr/local/share/dockflow \
    && install -m 755 build/release/dockflow build/release/dsctl /out/usr/local/bin/ \
    && install -m 755 conf/docker/healthcheck /out/usr/local/share/dockflow/ \
    && install -m 644 conf/dockflow.yaml /out/usr/local/share/dockflow/ \
    && install -m 644 LICENSE /out/usr/local/share/dockflow/ \
    && rm -rf build

# --- run -------------------------------------------------------------------------------------------------------------
FROM ${BASE}
LABEL org.opencontainers.image.title=DockFlow \
      org.opencontainers.image.description="GitOps for Docker engines" \
      org.opencontainers.image.licenses=Apache-2.0
ENV LC_ALL=C.UTF-8
# PostgreSQL in a layer of its own. Its packages would make a cluster and a service at once: neither is wanted.
RUN export DEBIAN_FRONTEND=noninteractive && apt-get update \
    && mkdir -p /etc/postgresql-common \
    && echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf \
    && apt-get install -y --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/apt/*
RUN export DEBIAN_FRONTEND=noninteractive && apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libuv1 libpq5 libgit2-1.5 libyaml-0-2 libjansson4 \
       libboost-context1.74.0 zlib1g libzstd1 libbrotli1 libarchive13 libargon2-1 liboath0 libxmlsec1 libxml2 libre2-9 \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/apt/* \
    && groupadd --gid 65532 dockflow \
    && useradd --uid 65532 --gid 65532 --home-dir /var/lib/dockflow --shell /usr/sbin/nologin dockflow \
    && install -d -o dockflow -g dockflow -m 755 /var/lib/dockflow
COPY --from=build /out/ /
# A library that is missing shows here, not at the first start.
RUN dockflow --version && dsctl version --client
USER 65532:65532
WORKDIR /var/lib/dockflow
ENV DOCKFLOW_LISTEN_HTTP=:8080 DOCKFLOW_DATA_DIR=/var/lib/dockflow
VOLUME /var/lib/dockflow
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/share/dockflow/healthcheck"]
ENTRYPOINT ["dockflow"]
