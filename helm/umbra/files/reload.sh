# Tells the hub when a file has changed that it reads by `umbra reload`: its configuration, a renewed certificate.
# $WATCHED: folders, as a kubelet fills them from ConfigMaps and Secrets.
trap 'exit 0' TERM INT
sum() { cat $(find -L $WATCHED -type f -not -path '*/..*' | sort) | sha256sum; }
known=$(sum)
while :; do
  sleep "${EVERY:-20}" & wait $!
  now=$(sum)
  [ "$now" != "$known" ] || continue
  # One that is refused is said once; the hub goes on with what it has.
  /usr/bin/umbra reload || echo "umbra reload: exit code $?"
  known=$now
done
