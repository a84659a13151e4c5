#!/usr/bin/env bash
# A worker in bash and curl: runs a command for each job.
#
#   ./worker.sh ./send-mail.sh      the job's JSON comes on its standard input, what it prints is the result;
#                                   a status other than 0 fails the attempt, with the last line of its standard error
#
# Settings: QUEUE_URL, QUEUE, LEASE_MS, WORKER, API_KEY.
set -u
base="${QUEUE_URL:-http://127.0.0.1:7403}/v1/queues/${QUEUE:-demo}"
lease_ms="${LEASE_MS:-30000}"
worker="${WORKER:-$(hostname):$$}"
dir="$(mktemp -d)"
# Only here: a process in the background that is killed before it has begun may still have this trap.
trap '[ "$BASHPID" -ne "$$" ] || rm -rf "$dir"' EXIT
# The call or the command that is under way; SIGTERM ends it, and what it had is given back below.
child=''
stopping=''
trap 'stopping=1; [ -z "$child" ] || kill "$child" 2>/dev/null' TERM INT

# "${post[@]}" <body> "$base:<verb>" prints the answer. No function: the process that SIGTERM ends must be curl itself.
post=(curl --silent --fail --max-time 30 -H 'content-type: application/json')
[ -z "${API_KEY:-}" ] || post+=(-H "authorization: Bearer $API_KEY")
post+=(--data-binary)

wait_child() { # What is waited for runs in the background: bash hears signals only while it waits.
  child=$!
  [ -z "$stopping" ] || kill "$child" 2>/dev/null # SIGTERM came before it could be named.
  wait "$child"
  local status=$?
  child=''
  return "$status"
}

# Id and token stand first in a job; what else is in it may look like anything.
lease_of_answer() { sed -n 's/.*"jobs":\[{\("id":"[^"]*","token":"[^"]*"\).*/\1/p' "$dir/answer"; }

json_string() { # Standard input as a JSON string.
  local text
  text="$(tr -d '\000-\010\013\014\016-\037' | head -c 30000)"
  text="${text//\\/\\\\}"; text="${text//\"/\\\"}"; text="${text//$'\t'/\\t}"; text="${text//$'\r'/\\r}"
  printf '"%s"' "${text//$'\n'/\\n}"
}

renew() { # In the background: keeps the lease while the command runs.
  while sleep "$(((lease_ms + 2999) / 3000))"; do
    "${post[@]}" "{\"leases\":[{$lease,\"leaseMs\":$lease_ms}]}" "$base:renew" >/dev/null
  done
}

outcome='' # What became of the last job, to be told with the next call.
failures=0
while [ -z "$stopping" ]; do
  ask="\"max\":1,\"leaseMs\":$lease_ms,\"worker\":\"$worker\",\"waitMs\":20000"
  "${post[@]}" "{$outcome$ask}" "$base:next" >"$dir/answer" &
  if ! wait_child; then
    [ -n "$stopping" ] && break
    failures=$((failures < 5 ? failures + 1 : 5))
    sleep $((RANDOM % (1 << failures) + 1)) & # The outcome is told again, until somebody hears it.
    wait_child
    continue
  fi
  failures=0
  outcome=''
  lease="$(lease_of_answer)"
  [ -z "$lease" ] && continue
  if [ -n "$stopping" ]; then
    outcome="\"releases\":[{$lease}],"
    break
  fi

  renew &
  renewer=$!
  "$@" <"$dir/answer" >"$dir/out" 2>"$dir/err" &
  wait_child
  status=$?
  kill "$renewer" 2>/dev/null
  wait "$renewer" 2>/dev/null
  if [ -n "$stopping" ]; then
    outcome="\"releases\":[{$lease}],"
  elif [ "$status" -eq 0 ]; then
    outcome="\"acks\":[{$lease,\"result\":$(json_string <"$dir/out")}],"
  else
    error="{\"type\":\"exit $status\",\"message\":$(tail -n 1 "$dir/err" | json_string)}"
    outcome="\"fails\":[{$lease,\"error\":$error}],"
  fi
done
[ -z "$outcome" ] || "${post[@]}" "{${outcome%,}}" "$base:ack" >/dev/null
