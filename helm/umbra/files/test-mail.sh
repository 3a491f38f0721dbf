# A message through each hub of $HUBS (names), to a sink in this pod. Good when each came, once, and when hubs say that
# they made $COPIES copies of each. Copies are counted before and after: a hub in use may have made more.
set -eu
cd /tmp
metric() { # NAME: its sum over all hubs, by what each says at /metrics
  local hub line sum=0
  for hub in $HUBS; do
    exec 3<>"/dev/tcp/$hub/${ADMIN_PORT:-9625}"
    printf 'GET /metrics HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$hub" >&3
    while IFS= read -r -t 10 line <&3; do
      line=${line%$'\r'}
      case $line in "$1 "* | "$1{"*) printf -v line %.0f "${line##* }" && sum=$((sum + line)) ;; esac
    done
    exec 3>&-
  done
  echo "$sum"
}
messages=0
targets=
for hub in $HUBS; do
  targets=$targets,$hub:${SMTP_PORT:-2527}
  messages=$((messages + 1))
done
rm -f source.ledger sink.ledger
before=$(metric umbra_shadows_made_total)
umbra-load sink --listen "0.0.0.0:${SINK_PORT:-2525}" --ledger sink.ledger --exit-after "$messages" --quiet &
umbra-load source --to "${targets#,}" --messages "$messages" --from "" --to-domain helm-test.invalid --token-in-recipient --ledger source.ledger --quiet
wait $!
umbra-load ledger --source source.ledger --sink sink.ledger
copies=$(($(metric umbra_shadows_made_total) - before))
echo "$messages messages, $copies copies"
[ "$copies" -ge $((messages * COPIES)) ] || { echo "expected at least $((messages * COPIES)) copies" >&2; exit 1; }
