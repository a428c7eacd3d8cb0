# The gateway as an image without a shell, for `docker build -t faregate .`

# Both bases are of one Debian release: the program is linked to the C library of the first and runs on the second's.
ARG BUILD_BASE=docker.io/library/rust:1.95-slim-bookworm
# The C library, libgcc and CA certificates, and neither a shell nor a package manager. Another base needs these three.
ARG RUN_BASE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_BASE} AS build
WORKDIR /src
COPY . .
# The caches are kept by the builder and are in no layer, so dependencies need no layer of their own. Cargo goes by the
# times of the files, and those of another checkout may be older than what it built last: touched, they are built.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    touch src/lib.rs src/main.rs \
    && cargo build --release --locked \
    && mkdir -p /out/var/lib/faregate \
    && objcopy --only-keep-debug target/release/faregate /out/faregate.debug \
    && objcopy --strip-all --add-gnu-debuglink=/out/faregate.debug target/release/faregate /out/faregate

# The line tables of the program above: docker build --target symbols --output symbols .
FROM scratch AS symbols
COPY --from=build /out/faregate.debug /

FROM ${RUN_BASE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Faregate" \
      org.opencontainers.image.description="A reverse proxy that makes an HTTP API payable" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/faregate/
COPY --from=build /out/faregate /usr/local/bin/faregate
# A new volume takes its owner and mode from what stands here in the image.
COPY --from=build --chown=65532:65532 --chmod=0700 /out/var/lib/faregate /var/lib/faregate
VOLUME /var/lib/faregate
# The configuration is named, so that no file of the volume can stand in for it. SQLite's temporary files have no other
# place where the root is read-only.
ENV FAREGATE_CONFIG=/etc/faregate/faregate.toml \
    SQLITE_TMPDIR=/var/lib/faregate
WORKDIR /
# By number: who checks that an image does not run as root cannot look up a name.
USER 65532:65532
EXPOSE 8402 8403
STOPSIGNAL SIGTERM
# The start may have a journal to fold before it is ready.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/faregate", "health"]
ENTRYPOINT ["/usr/local/bin/faregate"]
CMD ["run"]
