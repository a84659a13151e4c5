# One file for every service: docker build --build-arg SERVICE=kv --tag plinth/kv .
# SERVICE=suite puts all of them into one image, and the working directory chooses: docker run --workdir /app/services/kv …
# `npm run images` builds them all. Plain Dockerfile language: BuildKit, the builder before it and buildah understand it.

# Node and npm come from BASE. The service stands on RUNTIME, which needs glibc and libstdc++ and no shell: so the npm,
# headers and yarn of BASE stay out of it.
ARG BASE=node:24-bookworm-slim
ARG RUNTIME=debian:bookworm-slim

FROM ${BASE} AS base

# Only what npm reads, so that a changed source file does not install the packages again.
FROM base AS manifests
WORKDIR /app
COPY . .
RUN find . -type f ! -name package.json ! -name package-lock.json ! -name .npmrc -delete

FROM base AS packages
ARG SERVICE=kv
# For builds that reach npm's packages through a mirror.
ARG NPM_CONFIG_REGISTRY
WORKDIR /app
COPY --from=manifests /app ./
# Without install scripts: they would look for a compiler, and the prebuilt binaries come as packages.
RUN chosen=$SERVICE; [ "$SERVICE" != suite ] || chosen=$(ls services); \
    for service in $chosen; do \
      [ -f "services/$service/package.json" ] || \
        { echo "there is no service \"$service\"; there are:" $(ls services) >&2; exit 1; }; \
      set -- "$@" --workspace "services/$service"; \
    done; \
    npm ci --omit=dev --ignore-scripts --no-audit --no-fund "$@"
# What is for compilers, editors, browsers and other platforms: three quarters of it. All of the last line is imported and
# never required, so one of its two forms is enough.
RUN find node_modules -type f \( \
      -name '*.map' -o -name '*.ts' -o -name '*.cts' -o -name '*.mts' -o -name '*.min.js' -o -name '*.gyp*' -o \
      -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -iname 'readme*' -o -iname 'changelog*' -o -iname 'history.md' -o \
      -name '*.musl.node' -o -name '*.abi*.node' -o -path '*/protobufjs/dist/*' -o -path '*/yaml/browser/*' -o \
      -path '*/@opentelemetry/*.cjs' -o -path 'node_modules/zod/*.cjs' \) -delete; \
    rm -rf node_modules/*/test node_modules/@*/*/test

FROM packages AS build
ARG SERVICE=kv
COPY libs libs
COPY services /src
# The tools of the repository are no part of a service; where a package names them for development, links dangle.
RUN set -e; rm -rf libs/suite libs/testkit libs/engines; \
    for service in services/*; do \
      rm -rf "$service"; \
      case "$SERVICE" in suite | "${service#services/}") cp -R "/src/${service#services/}" "$service" ;; esac; \
    done; \
    find node_modules -xtype l -delete; find node_modules -type d -empty -delete; \
    mkdir /data .compile-cache && chown 65532:65532 /data .compile-cache
# Settings of a container that nobody has set up: listen where a published port leads to, keep data in the volume.
RUN set -e; for service in services/*; do node -e ' \
      const { plinth = {} } = require("/app/" + process.argv[1] + "/package.json"); \
      const prefix = process.argv[1].slice("services/".length).replaceAll("-", "_").toUpperCase(); \
      console.log(`${prefix}_HOST=0.0.0.0`); \
      if (plinth.keepsData) console.log(`${prefix}_DATA_DIR=/data`);' "$service" >"$service/container.env"; \
    done; \
    [ "$SERVICE" != suite ] || { \
      all=$(ls services | xargs); mkdir -p services/suite/src; : >services/suite/container.env; \
      echo "console.error('choose a service ($all): docker run --workdir /app/services/<service> …'); process.exit(64);" \
        >services/suite/src/main.ts; }
# Compiled code is kept by user, by Node's version and by its flags: all of them as in CMD. Without it a start takes
# longer and keeps what strips types in memory.
ENV NODE_COMPILE_CACHE=/app/.compile-cache
USER 65532:65532
RUN set -e; for service in services/*/package.json; do \
      cd "/app/${service%/*}" && PLINTH_COMPILE_ONLY=1 node --max-semi-space-size=16 src/main.ts; cd /app; \
    done; \
    chmod -R a+rX .compile-cache

# For Tilt: the app may be written to, and a file that changes starts the service again.
FROM base AS dev
ARG SERVICE=kv
ENV NODE_COMPILE_CACHE=/app/.compile-cache
COPY --from=build --chown=65532:65532 /app /app
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
WORKDIR /app/services/${SERVICE}
CMD ["node", "--watch", "--max-semi-space-size=16", "--env-file-if-exists=container.env", "src/main.ts"]

# A seventh of the program is names that only debuggers of Node itself read.
FROM base AS node
RUN apt-get update -q && apt-get install -y -q --no-install-recommends binutils && \
    strip --strip-unneeded -o /node /usr/local/bin/node

FROM ${RUNTIME} AS service
ARG SERVICE=kv
ARG PORT=7401
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="plinth/${SERVICE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production NODE_COMPILE_CACHE=/app/.compile-cache
COPY --from=node /node /usr/local/bin/node
COPY --from=build --chown=0:0 /app /app
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
WORKDIR /app/services/${SERVICE}
EXPOSE ${PORT}
STOPSIGNAL SIGTERM
CMD ["node", "--max-semi-space-size=16", "--env-file-if-exists=container.env", "src/main.ts"]
