// Every key of the configuration file: name, meaning, bounds. The defaults are the members' initial values in
// config.h. It is long because there are that many keys, each with its sentence, and nothing else is in here.
#include <algorithm>
#include <array>

#include "hub/config/units.h"
#include "hub/config/visitor.h"
#include "smtp/address.h"

namespace umbra::hub {
namespace {

using namespace std::string_view_literals;

// Of each key: is a change in force with `umbra reload`, or after the hub was started again?
constexpr auto live = TakesEffect::at_reload;
constexpr auto restart = TakesEffect::at_restart;

constexpr std::array shadow_names = {"require"sv, "prefer"sv, "none"sv};                // ShadowPolicy
constexpr std::array on_corruption_names = {"automatic"sv, "set_aside"sv, "refuse"sv};  // OnCorruption
constexpr std::array ownership_names = {"auto"sv, "pairwise"sv, "majority"sv, "etcd"sv,
                                        "kubernetes"sv};                                  // OwnershipMode
constexpr std::array zone_names = {"prefer_other_zone"sv, "only_other_zone"sv, "any"sv};  // ZonePreference
constexpr std::array on_failure_names = {"delay"sv, "accept"sv};                          // OnShadowFailure
constexpr std::array eight_bit_names = {"bounce"sv, "convert"sv};    // RouteConfig::EightBit
constexpr std::array old_habit_names = {"reject"sv, "normalize"sv};  // OldHabit
constexpr std::array switch_names = {"off"sv, "on"sv};
constexpr std::array protocol_logging_names = {"none"sv, "verbose"sv};  // ProtocolLogging
constexpr std::array record_format_names = {"csv"sv, "json"sv};         // RecordLogsConfig::Format
constexpr std::array level_names = {"debug"sv, "info"sv, "warning"sv, "error"sv};

constexpr std::array tls_mode_names = {"none"sv, "starttls"sv, "required"sv,
                                       "implicit"sv};  // ListenerTlsConfig::Mode
constexpr std::array client_certificate_names = {"none"sv, "request"sv, "require"sv};
constexpr std::array authentication_names = {"off"sv, "offered"sv,
                                             "required"sv};  // ListenerAuthenticationConfig::Mode
constexpr std::array truth_names = {"false"sv, "true"sv};
constexpr std::array tls_policy_names = {"none"sv, "opportunistic"sv, "encrypt"sv,
                                         "verify"sv};  // RouteTlsConfig::Policy
constexpr std::array tls_version_names = {"TLSv1.2"sv, "TLSv1.3"sv};

constexpr std::array rate_source_names = {"none"sv, "ip_address"sv, "user"sv,
                                          "all"sv};                    // ThrottlingPolicyConfig::Source
constexpr std::array throttling_scope_names = {"hub"sv, "cluster"sv};  // ThrottlingPolicyConfig::Scope

constexpr std::array report_format_names = {"dsn"sv, "plain"sv};  // BounceProfileConfig::Format
constexpr std::array returned_names = {"as_asked"sv, "header"sv,
                                       "nothing"sv};  // BounceProfileConfig::Returned
constexpr std::array when_down_names = {"tempfail"sv, "accept"sv, "reject"sv, "hold"sv,
                                        "queue_and_wait"sv};  // ContentFilterConfig::WhenDown

constexpr std::array while_waiting_names = {"ready"sv, "unready"sv};  // ContentFilterConfig::unready

constexpr TextRule plain_name = {is_plain_name,
                                 "expected letters, digits, \".\", \"-\" or \"_\", at most 64 of them"};
constexpr TextRule host_name = {is_domain_name, "expected a host name such as mx1.example.com"};
constexpr TextRule route_domain = {
    [](std::string_view text) {
      if (text == "*") return true;
      if (text.starts_with("*.")) text.remove_prefix(2);
      return is_domain_name(text);
    },
    "expected example.com, *.example.com (any domain below it) or * (every other domain)"};

constexpr TextRule mail_address = {
    [](std::string_view text) { return smtp::is_mailbox(text, smtp::Utf8::forbidden); },
    "expected a mail address such as postmaster@example.com"};

constexpr TextRule user_name = {[](std::string_view text) {
                                  return !text.empty() && text.size() <= 255 &&
                                         std::ranges::none_of(
                                             text, [](unsigned char c) { return c < 32 || c == 127; });
                                },
                                "expected the name of a user, at most 255 octets without control characters"};

constexpr TextRule certificate_name = {
    [](std::string_view text) {
      if (is_address_literal(std::string(text))) return true;
      if (text.starts_with('.')) text.remove_prefix(1);
      return is_domain_name(text);
    },
    "expected mx1.example.com, .example.com (any host below it) or an address"};

void describe_hub(ConfigVisitor& v, Config& config) {
  v.text({"name",
          "What this hub is called, unique in its cluster. It must be one of `cluster.members` where there "
          "are any. The environment variable `UMBRA_HUB_NAME` takes its place.",
          restart, true},
         config.hub_name, plain_name);
  v.text({"host_name", "The host name in the greeting, in EHLO and in Received fields. Default: `hub.name`.",
          live},
         config.host_name, host_name);
}

void describe_spool(ConfigVisitor& v, SpoolConfig& spool) {
  v.path({"directory",
          "Where mail is kept, on a disk of this machine that honours fsync. One process per directory; "
          "never a network file system.",
          restart, true},
         spool.directory);
  v.size({"reserve",
          "With less free disk than this, new mail is refused with `452 4.3.1` before its data; delivery "
          "goes on.",
          live},
         spool.reserve_octets, {0, 1ULL << 50});
  v.choice(
      {"on_corruption",
       "When the spool is found to be damaged. `set_aside`: its files are moved into a folder "
       "`set-aside-<time>` beside it, the hub starts with a new spool, and its peers deliver what they hold. "
       "`refuse`: the hub ends, and starts only when an operator has acted. `automatic`: `set_aside` with "
       "`cluster.members`, `refuse` without.",
       live},
      spool.on_corruption, on_corruption_names);
  v.number(
      {"set_aside_max",
       "Damaged spools kept at once. They may hold the only copy of something, so none is ever removed by "
       "the hub: with so many it does not start.",
       live},
      spool.set_aside_max, {1, 100});
}

constexpr TextRule banner_text = {
    [](std::string_view text) {
      return text.size() <= 200 && text.find_first_not_of(' ') == 0 &&
             std::ranges::all_of(text, [](char c) { return c >= ' ' && c < 127; });
    },
    "expected printable ASCII, at most 200 characters, that does not begin with a blank"};

void describe_extensions(ConfigVisitor& v, smtp::Extensions& extensions) {
  v.choice({"pipelining",
            "Several commands without waiting for each reply (RFC 2920). `off` is not to say so; a client "
            "that does it all the same is answered as ever.",
            live},
           extensions.pipelining, switch_names);
  v.choice(
      {"size",
       "SIZE (RFC 1870). With `off` too, a message over `limits.message_size` is refused, when it has come.",
       live},
      extensions.size, switch_names);
  v.choice({"8bitmime", "BODY=8BITMIME (RFC 6152).", live}, extensions.eight_bit_mime, switch_names);
  v.choice({"smtputf8", "Addresses in UTF-8 (RFC 6531).", live}, extensions.smtputf8, switch_names);
  v.choice({"chunking", "BDAT (RFC 3030).", live}, extensions.chunking, switch_names);
  v.choice({"dsn",
            "What a client asks of notifications (RFC 3461). With `off` senders are told of failures and "
            "delays as by default.",
            live},
           extensions.dsn, switch_names);
}

void describe_limits(ConfigVisitor& v, ReceiveLimits& limits) {
  v.size({"message_size", "Largest message, announced by SIZE; a larger one gets `552 5.3.4`.", live},
         limits.message_octets_max, {1024, 100ULL << 30});
  v.number(
      {"recipients",
       "Recipients of one message; each further one gets `452 4.5.3`. RFC 5321 asks for at least 100.", live},
      limits.recipients_max, {1, 100'000});
  v.size({"command_length", "Longest command line, with CRLF.", live}, limits.command_octets_max,
         {512, 65'536});
  v.size({"line_length",
          "Longest line of a message sent by DATA, with CRLF. RFC 5321 section 4.5.3.1.6 says 1000.", live},
         limits.line_octets_max, {1000, 1U << 20});
  v.size({"header_size", "Largest header section of a message.", live}, limits.header_octets_max,
         {4096, 16U << 20});
  v.number(
      {"hops",
       "Received fields in a message; one with more is taken for a loop and refused with `554 5.4.6`.", live},
      limits.hops_max, {5, 1000});
  v.number({"local_hops",
            "Received fields that this host wrote itself, under the listener's `host_name`; a message with "
            "more is in a loop (`554 5.4.6`).",
            live},
           limits.local_hops_max, {1, 1000});
  v.number({"errors", "Protocol errors in one session; then `421` and the connection is closed.", live},
           limits.errors_max, {1, 10'000});
  v.number({"connections", "Open connections of this listener; each further one gets `421`.", live},
           limits.connections_max, {1, 1'000'000});
  v.number({"connections_per_source",
            "Open connections from one IPv4 address, or from one IPv6 network of 64 bits; a further one gets "
            "`421 4.7.0`. `0`: any number.",
            live},
           limits.connections_per_source_max, {0, 1'000'000});
  v.number({"connections_per_source_percent",
            "The same, as a part of the connections that are still free, so that one source that floods "
            "leaves room for others. Twenty are "
            "always allowed. `100`: all. Behind a load balancer all clients are one source, unless it speaks "
            "the PROXY protocol.",
            live},
           limits.connections_per_source_percent, {1, 100});
  v.duration({"session_timeout",
              "A session that is older gets `421 4.4.2` in place of waiting for its next command, where no "
              "transaction is open, and may connect anew. `0`: none.",
              live},
             limits.session_timeout, {0s, 7 * 24h});
  v.duration(
      {"command_timeout",
       "How long a client may take for the next command. RFC 5321 section 4.5.3.2.7 says 5 minutes.", live},
      limits.command_timeout, {1s, 24h});
  v.duration(
      {"data_timeout",
       "How long a client may pause inside a message. RFC 5321 section 4.5.3.2.5 says 3 minutes.", live},
      limits.data_timeout, {1s, 24h});
}

void describe_tls_files(ConfigVisitor& v, TlsFiles& files) {
  v.path({"certificate", "PEM file: the certificate first, then those that lead to its root.", live, true},
         files.certificate);
  v.path({"key",
          "PEM file with its key, without passphrase, not readable by everybody. Default: in the same file.",
          live},
         files.key);
}

void describe_listener_tls(ConfigVisitor& v, ListenerTlsConfig& tls) {
  v.choice({"mode",
            "`starttls`: offered. `required`: and no mail is taken without it (`530 5.7.0`). `implicit`: TLS "
            "from the first octet, as "
            "on port 465.",
            live},
           tls.mode, tls_mode_names);
  v.path({"certificate",
          "PEM file: the certificate first, then those that lead to its root. Needed but with `mode: none`.",
          live},
         tls.files.certificate);
  v.path({"key",
          "PEM file with its key, without passphrase, not readable by everybody. Default: in the same file.",
          live},
         tls.files.key);
  v.list({"more_certificates",
          "For clients that ask for another host name (SNI): the first whose names fit; else the one above.",
          live},
         tls.more_certificates, describe_tls_files);
  v.choice({"minimum_version", "Older versions are refused.", live}, tls.minimum_version, tls_version_names);
  v.choice({"client_certificates",
            "`request`: a client may show one; one that does not lead to `client_ca` counts as none. "
            "`require`: without a good one there is no "
            "session.",
            live},
           tls.client_certificates, client_certificate_names);
  v.path({"client_ca", "PEM file with the authorities that certificates of clients must lead to.", live},
         tls.client_ca);
  v.texts({"client_names",
           "Clients whose certificate carries one of these DNS names may relay from any address, as if they "
           "were in `networks`.",
           live},
          tls.client_names, host_name);
}

void describe_listener_authentication(ConfigVisitor& v, ListenerAuthenticationConfig& authentication) {
  v.choice({"mode",
            "`off`: no AUTH. `offered`: a client that has logged on may relay from anywhere, as if it were "
            "in `networks`. `required`: no mail is taken from "
            "a client that has not (`530 5.7.0`).",
            live},
           authentication.mode, authentication_names);
  v.secret({"password_file",
            "A file with a line `user:hash` for each user: a hash of crypt(3), or "
            "`SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`. Not readable by everybody. "
            "Read again on `umbra reload` and SIGHUP. PLAIN and LOGIN are offered, SCRAM-SHA-256 too when "
            "every user has keys for it.",
            live},
           authentication.password_file, authentication.passwords);
  v.path({"dovecot",
          "Instead: the Unix socket on which Dovecot's authentication server answers clients "
          "(`unix_listener` in its `service auth`). The mechanisms are those it "
          "names, but for those of anonymous users, of certificates and with security layers.",
          live},
         authentication.dovecot);
  v.choice({"allow_without_tls",
            "AUTH also on connections that are not encrypted, where anybody on the way can read the "
            "password. Else it gets `538 5.7.11` there.",
            live},
           authentication.allow_without_tls, truth_names);
  v.number(
      {"failures_max",
       "Log-ons that may fail in a session, each with `535 5.7.8`; the next one gets `421 4.7.0`.", live},
      authentication.failures_max, {1, 100});
  v.duration({"tarpit", "How long the reply to a log-on that failed is kept back. `0`: not at all.", live},
             authentication.tarpit, {0s, 10min});
}

void describe_listener(ConfigVisitor& v, ListenerConfig& listener) {
  v.text({"name", "What the listener is called in logs.", live, true}, listener.name, plain_name);
  v.endpoint({"address",
              "Where it listens: `address:port`. `0.0.0.0:25` is every IPv4 address of the machine, "
              "`[::]:25` every one, IPv4 too (but not where the system's `net.ipv6.bindv6only` is 1).",
              live, true},
             listener.address, 0);
  v.ranges({"clients",
            "Clients that it serves: addresses, networks in CIDR form, and ranges `10.0.0.5-10.0.0.9`. "
            "Several listeners may have one `address`; the one with the "
            "smallest range that a client lies in serves it, whatever their order, and a client that lies in "
            "none is refused with `554 5.7.1`. Ranges of two "
            "listeners may lie in one another, and must not overlap otherwise. Default: every client that no "
            "other listener of the address names.",
            live},
           listener.clients);
  v.text({"host_name",
          "The host name in its greeting, in its reply to EHLO and in its Received fields. Default: "
          "`hub.host_name`.",
          live},
         listener.host_name, host_name);
  v.text({"banner", "What stands behind the host name in the greeting.", live}, listener.banner, banner_text);
  v.ranges({"networks",
            "Clients that may relay: addresses and networks in CIDR form. Empty: nobody may, every RCPT gets "
            "`550 5.7.1`.",
            live},
           listener.networks);
  v.texts({"accepted_domains",
           "Domains of recipients that anybody may send to, without the right to relay: `example.com`, "
           "`*.example.com` (any below it), `*` (an open relay).",
           live},
          listener.accepted_domains, route_domain);
  v.ranges({"proxy_protocol",
            "Proxies that say in front of each connection whose it is, by the PROXY protocol, version 1 or 2 "
            "(HAProxy: `send-proxy`, `send-proxy-v2`). Everything about a client goes by "
            "that address: the listener that serves it, rights, limits, throttling, Received. From these a "
            "connection without a good header is closed; from "
            "others a header is no command. Holds for the whole `address`.",
            live},
           listener.proxy_protocol);
  v.ranges({"xclient",
            "Clients that may say by XCLIENT for whom they speak, as Postfix does it; the session begins "
            "anew as that client's, at the listener that serves it. Whoever is in here may be "
            "anybody, and one that it says has logged on may relay.",
            live},
           listener.xclient);
  v.group({"extensions", "SMTP extensions, `on` or `off`: for a client that stumbles over one."},
          listener.extensions, describe_extensions);
  v.choice(
      {"bare_line_ends",
       "A message with a CR or LF that is not part of a CRLF. `reject`: `554 5.6.0`. `normalize`, for old "
       "applications: LF, and CRs before it, become CRLF; "
       "CRs elsewhere become a blank. Either way only CRLF.CRLF ends a message, and commands end with CRLF.",
       live},
      listener.bare_line_ends, old_habit_names);
  v.choice({"long_lines",
            "A message with a line over `limits.line_length`. `reject`: `554 5.6.0`. `normalize`, for old "
            "applications: fields are folded where a word begins, "
            "other lines are broken behind a blank, or where they get too long. 8-bit octets pass as they "
            "are. Signatures (DKIM) of what is changed do not "
            "hold any more.",
            live},
           listener.long_lines, old_habit_names);
  v.choice({"shadow",
            "How much redundancy a message has before its `250`. `require`: durable on two hubs, or `451 "
            "4.4.0`. `prefer`: on two "
            "hubs where one can be reached, else as `on_failure` says, counted as unprotected and protected "
            "later. "
            "`none`: this hub only. The "
            "default is `require`; a hub without a cluster must say `none`.",
            live},
           listener.shadow, shadow_names);
  v.group({"tls", "Encryption and client certificates. Files are read again on `umbra reload` and SIGHUP."},
          listener.tls, describe_listener_tls);
  v.group({"authentication",
           "Clients that say who they are (AUTH, RFC 4954). After TLS only, but where told otherwise."},
          listener.authentication, describe_listener_authentication);
  v.number({"copies",
            "On how many hubs besides this one a message must be. They are made side by side; `require` and "
            "`prefer` "
            "mean all of them.",
            live},
           listener.protection.copies, {1, Protection::copies_max});
  v.choice({"zones",
            "Where the copies may be, by `cluster.members.zone`. `prefer_other_zone`: another zone than this "
            "hub's, and one for "
            "each copy, where such hubs can be reached. `only_other_zone`: never in this hub's zone. `any`: "
            "zones do not matter.",
            live},
           listener.protection.zones, zone_names);
  v.choice({"on_failure",
            "Under `prefer`, for a message of which no other hub could take a copy. `delay`: its `250` waits "
            "until it is delivered "
            "or another hub has a copy, at most `max_acknowledgement_delay`. `accept`: `250` at once.",
            live},
           listener.on_failure, on_failure_names);
  v.duration({"max_acknowledgement_delay",
              "Delayed acknowledgement: how long a `250` may wait for the delivery of a message that no "
              "other hub could "
              "take a copy of. Then the client gets its `250`: the message is durable here. `0`: never. Keep "
              "it far below the 10 minutes "
              "after which a client may give up (RFC 5321 section 4.5.3.2.6).",
              live},
             listener.acknowledgement_delay_max, {0s, 5min});
  v.number({"delayed_acknowledgements",
            "How many clients may wait so at once; a further one gets its `250` without waiting, and the log "
            "says why.",
            live},
           listener.delayed_acknowledgements_max, {1, 1'000'000});
  v.group({"limits", "What a client may ask of this listener."}, listener.limits, describe_limits);
  v.duration({"tarpit",
              "How long the reply to a command that failed for good (5xx) is kept back: a client that "
              "guesses addresses or commands is slowed "
              "down. A reply to a command that was right, or that asks to come later, is never, nor one to "
              "BDAT. `0`: none.",
              live},
             listener.tarpit, {0s, 10min});
  v.choice({"protocol_log",
            "`verbose`: every command and reply, but no content of messages and no secrets, is written to "
            "the protocol log (`logs.protocol`). Sessions begin with what is in force.",
            live},
           listener.protocol_log, protocol_logging_names);
}

void describe_route_tls(ConfigVisitor& v, RouteTlsConfig& tls) {
  v.choice({"policy",
            "`none`: never. `opportunistic`: where the next hop offers STARTTLS, whatever certificate it "
            "shows; when the handshake fails, "
            "plain on a new connection. `encrypt`: never without TLS, whatever the certificate. `verify`: "
            "the certificate must lead to "
            "`ca` and carry one of `names`. Where `encrypt` and `verify` cannot be had, mail waits (4.7.x).",
            live},
           tls.policy, tls_policy_names);
  v.path({"ca", "With `verify`: PEM file with the authorities to trust. Default: those of the system.", live},
         tls.ca);
  v.texts({"names",
           "With `verify`: the names to look for in the certificate, `mx.example.com` or `.example.com` (any "
           "host below it). Default: the "
           "host's own name as in `hosts`, or as its MX record says (which without DNSSEC anybody may have "
           "written).",
           live},
          tls.names, certificate_name);
  v.path({"certificate", "PEM file with a certificate for next hops that ask for one.", live},
         tls.files.certificate);
  v.path({"key",
          "PEM file with its key, without passphrase, not readable by everybody. Default: in the same file.",
          live},
         tls.files.key);
  v.choice({"minimum_version", "Older versions are refused.", live}, tls.minimum_version, tls_version_names);
}

void describe_route_authentication(ConfigVisitor& v, RouteAuthenticationConfig& authentication) {
  v.text({"user",
          "As whom this hub logs on at the hosts of the route, by SCRAM-SHA-256, PLAIN or LOGIN, the first "
          "that a host offers. Mail waits while it cannot.",
          live},
         authentication.user, user_name);
  v.secret({"password_file",
            "A file with the password in its first line, not readable by everybody. Read again on `umbra "
            "reload` and SIGHUP.",
            live},
           authentication.password_file, authentication.password);
  v.choice(
      {"allow_without_tls",
       "Also on connections that are not encrypted, where anybody on the way can read the password.", live},
      authentication.allow_without_tls, truth_names);
}

void describe_route_host(ConfigVisitor& v, RouteHost& host) {
  v.endpoint({"address", "`host:port`; the port is 25 where none is given.", live, true}, host.endpoint, 25);
  v.number({"preference", "Lower ones are tried first; equal ones share the load.", live}, host.preference,
           {0, 65'535});
}

constexpr TextRule source_address = {
    [](std::string_view text) { return is_address_literal(std::string(text)); },
    "expected an IPv4 or IPv6 address of this machine"};

void describe_route(ConfigVisitor& v, RouteConfig& route) {
  v.text({"name", "What the route is called in logs and in the queue.", live, true}, route.name, plain_name);
  v.texts({"domains",
           "Recipient domains: `example.com`, `*.example.com` (any below it), `*` (every other). The most "
           "specific one wins.",
           live, true},
          route.domains, route_domain);
  v.list_short({"hosts",
                "Smart hosts: `host:port`, or a group with a preference. Tried in order of preference, the "
                "next one on a "
                "4xx reply or a failed connection. Empty: the domain's MX hosts.",
                live},
               route.hosts, &RouteHost::endpoint, 25, describe_route_host);
  v.texts({"hubs",
           "Hubs of this cluster, by name: mail is handed over to one of them that is in reach, and this hub "
           "keeps its copy until that "
           "one is done with it. A hub that is named itself passes the route over: the next one that fits "
           "counts there. Excludes "
           "everything about hosts and connections.",
           live},
          route.hubs, plain_name);
  v.number({"mx_port", "Port of hosts found by MX.", live}, route.mx_port, {1, 65'535});
  v.texts({"source_addresses",
           "Addresses of this machine to connect from, at most one IPv4 and one IPv6. Default: the system's "
           "choice.",
           live},
          route.source_addresses, source_address);
  v.choice({"protocol_log",
            "`verbose`: every command and reply, but no content of messages and no secrets, is written to "
            "the protocol log (`logs.protocol`).",
            live},
           route.protocol_log, protocol_logging_names);
  v.choice({"eight_bit",
            "8-bit mail for a next hop without 8BITMIME: `bounce` it with 5.6.3, or `convert` it to a 7-bit "
            "encoding.",
            live},
           route.eight_bit, eight_bit_names);
  v.number({"connections", "Connections at once to one destination.", live}, route.connections_max,
           {1, 10'000});
  v.number({"messages_per_connection", "Messages on one connection; then a new one is made.", live},
           route.messages_per_connection_max, {1, 1'000'000});
  v.number(
      {"recipient_rate_limit",
       "Recipients a minute to one destination; more wait in the queue. `0`: as many as it takes.", live},
      route.recipient_rate_limit, {0, 1'000'000'000});
  v.text({"bounce_profile",
          "How long mail is tried by this route, and what its sender hears: one of `bounce_profiles`, "
          "`exchange` or `esa`. Default: as `delivery` says.",
          live},
         route.bounce_profile, plain_name);
  v.group({"tls",
           "Encryption towards the next hops (STARTTLS). Files are read again on `umbra reload` and SIGHUP."},
          route.tls, describe_route_tls);
  v.group({"authentication",
           "Logging on at the smart hosts of the route (AUTH). Needs `hosts`, and `tls.policy` `encrypt` or "
           "`verify`."},
          route.authentication, describe_route_authentication);
}

void describe_retry(ConfigVisitor& v, RetryStep& step) {
  v.number(
      {"times", "How often this wait is used. The last step leaves it out: it lasts until `expiry`.", live},
      step.times, {1, 1'000'000});
  v.duration({"wait", "The wait before the next attempt.", live, true}, step.wait, {1s, 7 * 24h});
}

void describe_bounces(ConfigVisitor& v, BounceProfileConfig& profile) {
  v.list({"retry",
          "The waits between attempts after a 4xx reply, step by step. Default: 4 times 1 minute, 6 times 5 "
          "minutes, then every 10 minutes.",
          live},
         profile.retry, describe_retry);
  v.number({"retries",
            "So many attempts after the first one; then the recipient bounces. While a next hop cannot be "
            "connected one message tries it for all, and only "
            "that one has had an attempt. `0`: as many as there is time for.",
            live},
           profile.retries_max, {0, 1'000'000});
  v.duration({"expiry", "After this long in the queue a recipient bounces (4.4.7).", live}, profile.expiry,
             {1min, 30 * 24h});
  v.duration({"delay_warning",
              "After this long in the queue the sender is told of the delay, once. `0`: never.", live},
             profile.delay_warning, {0s, 30 * 24h});
  v.choice({"report_format",
            "Reports of failures and delays as delivery status notifications (RFC 3464, `dsn`), or as text "
            "alone (`plain`).",
            live},
           profile.format, report_format_names);
  v.choice({"returned",
            "What reports return of the message: `as_asked` by its sender (RET; the header, or all of a "
            "message of up to 256 KB), the `header`, or `nothing`.",
            live},
           profile.returned, returned_names);
  v.text({"report_to", "Who gets these reports instead of the sender. Default: the sender.", live},
         profile.report_to, mail_address);
}

void describe_bounce_profile(ConfigVisitor& v, BounceProfileConfig& profile) {
  v.text({"name",
          "What the profile is called. `exchange` and `esa` are there without being written; a profile of "
          "that name replaces it.",
          live, true},
         profile.name, plain_name);
  describe_bounces(v, profile);
}

void describe_delivery(ConfigVisitor& v, DeliveryConfig& delivery) {
  describe_bounces(v, delivery);
  v.duration({"connect_timeout", "How long a next hop may take to accept a connection.", live},
             delivery.connect_timeout, {100ms, 10min});
  v.duration({"command_timeout", "How long a next hop may take to reply to a command.", live},
             delivery.command_timeout, {1s, 1h});
  v.duration({"data_reply_timeout",
              "How long a next hop may take to reply to the end of the data. RFC 5321 section 4.5.3.2.6 says "
              "10 minutes; too short makes duplicates.",
              live},
             delivery.data_reply_timeout, {1s, 1h});
  v.duration({"idle_timeout", "How long a connection is kept open without mail.", live},
             delivery.idle_timeout, {0s, 1h});
  v.number({"connections", "Connections to next hops at once, over all destinations.", live},
           delivery.connections_max, {1, 100'000});
  v.size({"memory",
          "Bodies kept in memory between acceptance and delivery, so that most mail is never read back from "
          "the disk. "
          "Beyond it, bodies are read from the spool.",
          live},
         delivery.ready_octets_max, {0, 64ULL << 30});
  v.number({"crashes",
            "How often the hub may end without a word (a crash, a kill) while it is delivering a message, "
            "attempt after "
            "attempt. Then the message is held for an operator, and the rest flows. `0`: never.",
            restart},
           delivery.crashes_max, {0, 1000});
  v.choice({"trace_field",
            "Whether a message says in a field `Umbra-Hop` what became of it in this hub: how long it waited "
            "for what, and where its copies were (`umbra headers` reads it).",
            live},
           delivery.trace_field, truth_names);
}

void describe_resolver(ConfigVisitor& v, ResolverConfig& resolver) {
  v.endpoints({"servers", "Name servers, `address` or `address:port`. Empty: those of the system.", restart},
              resolver.servers, 53);
  v.duration({"timeout", "How long one look-up may take, all tries together.", restart}, resolver.timeout,
             {100ms, 5min});
}

void describe_member(ConfigVisitor& v, MemberConfig& member) {
  v.text({"name", "The hub's `hub.name`.", restart, true}, member.name, plain_name);
  v.endpoint({"address", "`host:port` where that hub listens for other hubs.", restart, true}, member.address,
             0);
  v.text({"zone",
          "What fails together with that hub: a rack, a room, a site. Copies go to another zone where they "
          "can (`listeners.zones`).",
          restart},
         member.zone, plain_name);
}

constexpr std::array<std::string_view, 2> discovery_types = {"srv", "address"};

void describe_discovery(ConfigVisitor& v, DiscoveryConfig& discovery) {
  v.text({"dns",
          "A DNS name that stands for all hubs of the cluster, for example that of a headless service. Given "
          "in full; search "
          "domains are tried for `type: address` only.",
          restart},
         discovery.dns, host_name);
  v.choice({"type",
            "`srv`: SRV records; the first label of each target is the hub's name, the port is the record's. "
            "`address`: A and "
            "AAAA records of hubs that all listen at `port`; who is where, they say and prove themselves.",
            restart},
           discovery.type, discovery_types);
  v.number({"port", "Where the hubs listen for one another, for `type: address`.", restart}, discovery.port,
           {1, 65'535});
  v.duration({"interval",
              "How often DNS is asked. Without an answer that names hubs, those that are known stay, for as "
              "long as it takes.",
              restart},
             discovery.interval, {1s, 1h});
  v.duration({"forget_after",
              "A hub that DNS does not name any more and that is silent is forgotten after this, once "
              "nothing is held for it or "
              "owed to it.",
              restart},
             discovery.forget_after, {10s, 30 * 24h});
}

void describe_cluster_tls(ConfigVisitor& v, ClusterTlsConfig& tls) {
  v.path({"certificate",
          "PEM file: this hub's certificate, for servers and clients, with its hub name as a DNS name or as "
          "the URI "
          "`umbra://hub/NAME`.",
          restart},
         tls.files.certificate);
  v.path({"key",
          "PEM file with its key, without passphrase, not readable by everybody. Default: in the same file.",
          restart},
         tls.files.key);
  v.path({"ca",
          "PEM file with the authority of the cluster. Whoever has a certificate of it with a hub's name is "
          "that hub.",
          restart},
         tls.ca);
}

void describe_arbiter(ConfigVisitor& v, ArbiterConfig& arbiter) {
  v.endpoints({"endpoints",
               "`host:port`. etcd: its client addresses, the next one is asked when one fails. Kubernetes: "
               "the API server; "
               "default: `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`, as every pod has them.",
               restart},
              arbiter.endpoints, 0);
  v.path({"ca_file",
          "PEM file with the certificates that may sign the server's. etcd: without it there is no TLS. "
          "Kubernetes: "
          "default is the pod's service account's.",
          restart},
         arbiter.ca_file);
  v.path(
      {"certificate_file", "PEM file with this hub's certificate for the engine. With `key_file`.", restart},
      arbiter.certificate_file);
  v.path({"key_file", "PEM file with its key.", restart}, arbiter.key_file);
  v.path({"token_file",
          "Kubernetes: the bearer token, read anew for every request. Default: the pod's service account's.",
          restart},
         arbiter.token_file);
  v.text({"namespace", "Kubernetes: where the leases are. Default: the pod's.", restart}, arbiter.name_space,
         plain_name);
  v.text({"prefix",
          "What the engine's names for the hubs begin with; one per cluster. Default: `umbra-`. The key or "
          "lease of the hub "
          "`mx1` is `umbra-mx1`.",
          restart},
         arbiter.prefix, plain_name);
}

void describe_cluster(ConfigVisitor& v, ClusterConfig& cluster) {
  v.endpoint(
      {"address", "Where this hub listens for other hubs. Needed with `members`. Never open it to clients.",
       restart},
      cluster.address, 0);
  v.secret({"secret_file",
            "A file with the secret that all hubs of the cluster share: at least 16 octets, not readable by "
            "everybody. "
            "The environment variable `UMBRA_CLUSTER_SECRET` takes its place. The secret itself is never "
            "sent. With `tls` there need "
            "be none.",
            restart},
           cluster.secret_file, cluster.secret);
  v.group({"tls",
           "Mutual TLS (1.3) between hubs: each shows a certificate with its hub name. All hubs or none; "
           "files are read again on `umbra reload` "
           "and SIGHUP."},
          cluster.tls, describe_cluster_tls);
  v.list({"members",
          "Every hub of the cluster, this one included, the same list on each. Empty: this hub stands alone.",
          restart},
         cluster.members, describe_member);
  v.group({"discovery", "Where there is no list of members: how hubs find one another."}, cluster.discovery,
          describe_discovery);
  v.text({"zone",
          "With `discovery`: what fails together with this hub, a rack, a room, a site. It tells the others; "
          "copies go to another zone where they can "
          "(`listeners.zones`). The environment variable `UMBRA_HUB_ZONE` takes its place. With a list of "
          "members zones stand there.",
          restart},
         cluster.zone, plain_name);
  v.choice({"ownership",
            "Who may deliver and who may take over when hubs do not hear one another. `pairwise`: whoever "
            "hears nothing for "
            "a lease takes over; mail always flows, and a partition may give duplicates. `majority`, for a "
            "list of three "
            "hubs or more that is the same on each and stays as it is while they run: a hub that hears fewer "
            "than half of "
            "the others keeps its mail, and nothing is delivered twice. `etcd`, `kubernetes`: the engine "
            "named in `arbiter` "
            "decides; while it is away nobody takes over, and mail goes on where its holders answer. `auto`: "
            "`majority` for three or more, else "
            "`pairwise`.",
            restart},
           cluster.ownership, ownership_names);
  v.group({"arbiter", "The engine that `ownership: etcd` and `ownership: kubernetes` ask."}, cluster.arbiter,
          describe_arbiter);
  v.duration(
      {"lease", "A hub that was silent for this long is taken over from by those that hold its shadows.",
       restart},
      cluster.lease, {1s, 1h});
  v.duration({"heartbeat",
              "How often hubs tell each other that they are alive; at most a third of the lease.", restart},
             cluster.heartbeat, {50ms, 10min});
  v.duration({"copy_timeout",
              "All attempts to copy one message together; then `shadow` says what the client is told.", live},
             cluster.copy_timeout, {100ms, 1min});
  v.duration({"ask_again",
              "How long a silent holder of shadows is asked once more before a delivery goes on without it "
              "(`pairwise`), "
              "or a hub without a lease waits for one before it puts a delivery off (`majority`).",
              live},
             cluster.ask_again, {0s, 1min});
  v.duration({"return_wait",
              "`pairwise`: how long a hub that comes back waits for a silent holder before it delivers what "
              "it finds in "
              "its spool.",
              live},
             cluster.return_wait, {0s, 1h});
  v.duration({"out_wait",
              "`majority`: how long a hub that comes back waits for a holder of its mail that does not "
              "answer, from the "
              "moment when a majority has ended that holder's epoch. Then the mail is delivered and counted "
              "as a possible "
              "duplicate.",
              live},
             cluster.out_wait, {0s, 30 * 24h});
  v.duration({"restart_grace", "After its own start a hub takes nothing over before this.", restart},
             cluster.restart_grace, {0s, 1h});
  v.duration(
      {"reprotect_after",
       "A message that a holder of its shadow was silent for so long gets another copy elsewhere.", live},
      cluster.reprotect_after, {0s, 24h});
  v.number(
      {"reprotect_rate",
       "Messages per second that are copied again in the background, after a take-over, a lost holder or an "
       "acceptance without copies.",
       live},
      cluster.reprotect_messages_per_second, {1, 1'000'000});
  v.size({"reprotect_bandwidth", "Octets per second of these copies.", live},
         cluster.reprotect_octets_per_second, {64U << 10, 1ULL << 40});
}

void describe_safety_net(ConfigVisitor& v, SafetyNetConfig& net) {
  v.duration({"keep", "How long mail is kept after its last recipient has ended. `0`: no safety net.", live},
             net.keep, {0s, 30 * 24h});
  v.size({"size",
          "Octets of mail kept at once, never more. The oldest goes first; when the disk is short it goes "
          "before new mail is refused. `0`: no "
          "safety net.",
          live},
         net.octets_max, {0, 1ULL << 50});
  v.number({"resend_rate", "Messages per second that `umbra safety-net resend` sends again, at most.", live},
           net.resend_messages_per_second, {1, 1'000'000});
}

void describe_throttling_policy(ConfigVisitor& v, ThrottlingPolicyConfig& policy) {
  v.text({"name", "What the policy is called.", live, true}, policy.name, plain_name);
  v.ranges({"networks",
            "Clients that it is for. The policy with the longest network that a client lies in is its own; "
            "of the rest one for its listener; then one for all.",
            live},
           policy.networks);
  v.texts({"hosts",
           "Clients that it is for by the names of their hosts, beside `networks`: their addresses are "
           "looked up in DNS every minute.",
           live},
          policy.hosts, host_name);
  v.texts({"listeners", "Listeners that it is for. Default: all.", live}, policy.listeners, plain_name);
  v.texts({"users",
           "Users that it is for, once they have logged on (`listeners.authentication`); it goes before "
           "every policy without them. Until then it is for nobody.",
           live},
          policy.users, user_name);
  v.number(
      {"message_rate_limit",
       "Messages a minute; then MAIL gets `450 4.7.1` with the seconds to wait. `0`: as many as it likes.",
       live},
      policy.message_rate_limit, {0, 1'000'000'000});
  v.number({"recipient_rate_limit",
            "Recipients a minute; then RCPT gets `450 4.7.1`. `0`: as many as it likes.", live},
           policy.recipient_rate_limit, {0, 1'000'000'000});
  v.number({"connection_rate_limit",
            "Connections a minute from one address; then `421 4.7.0`. `0`: as many as it likes.", live},
           policy.connection_rate_limit, {0, 1'000'000'000});
  v.number({"connections",
            "Connections at once from one address; a further one gets `421 4.7.0`. `0`: as many as it likes.",
            live},
           policy.connections_max, {0, 1'000'000});
  v.choice({"message_rate_source",
            "By what messages and recipients are counted. `ip_address`: each address by itself (IPv6: each "
            "/64). `user`: each user that has logged on by itself, wherever "
            "from; who has not, by address. `all`: all clients of the policy together. "
            "`none`: not at all.",
            live},
           policy.message_rate_source, rate_source_names);
  v.choice(
      {"scope",
       "`hub`: each hub gives as much. `cluster`: the hubs that are heard share it, each gives its part.",
       live},
      policy.scope, throttling_scope_names);
}

constexpr TextRule filter_address = {
    [](std::string_view text) {
      constexpr std::size_t path_octets_max = 107;
      if (text.starts_with('/')) return text.size() <= path_octets_max;
      return parse_endpoint(text).has_value();
    },
    "expected host:port, or the path of a Unix socket that begins with / and has at most 107 octets"};

void describe_content_filter(ConfigVisitor& v, ContentFilterConfig& filter) {
  v.text({"name", "What the filter is called.", live, true}, filter.name, plain_name);
  v.text({"address", "Where it listens: `host:port`, or the path of a Unix socket, from `/`.", live, true},
         filter.address, filter_address);
  v.texts({"listeners", "Listeners whose mail it sees. Default: all.", live}, filter.listeners, plain_name);
  v.ranges({"networks", "Clients whose mail it sees. Default: all.", live}, filter.networks);
  v.choice({"when_down",
            "What becomes of a message while the filter cannot be reached, does not answer in time, or "
            "answers what it must not. `tempfail`: `451 4.7.1`, "
            "the client keeps it. `reject`: `554 5.7.1`. `accept`: taken unfiltered, which is counted, "
            "logged, and said in its Received field. `hold`: taken "
            "and held, until an operator releases it unfiltered, or bounces it. `queue_and_wait`: taken, "
            "held, and put before the filter by itself when that is "
            "back, in the order of acceptance; it never bypasses the filter, and does not age.",
            live},
           filter.when_down, when_down_names);
  v.duration({"connect_timeout", "How long it may take to accept a connection.", live},
             filter.connect_timeout, {100ms, 1min});
  v.duration(
      {"command_timeout",
       "How long it may take for an answer to the negotiation, and about client, sender and each recipient.",
       live},
      filter.command_timeout, {100ms, 5min});
  v.duration(
      {"content_timeout", "How long it may take for an answer to a header or a piece of the body.", live},
      filter.content_timeout, {100ms, 5min});
  v.duration({"end_of_message_timeout",
              "How long it may take for its verdict at the end of the message; each time it says that it is "
              "at work, anew.",
              live},
             filter.end_of_message_timeout, {100ms, 10min});
  v.duration({"message_timeout",
              "How long one message may take in all. With the filters that come after it, far below the 10 "
              "minutes after which a client may give up "
              "(RFC 5321 section 4.5.3.2.6).",
              live},
             filter.message_timeout, {100ms, 10min});
  v.duration({"retry_after",
              "After three failures on end the filter counts as down: no message waits for it any more, and "
              "after this long one message tries whether it "
              "is back.",
              live},
             filter.retry_after, {100ms, 1h});
  v.number({"connections",
            "Connections with it at once. Further messages wait for one; when that takes `command_timeout` "
            "the client gets `451 4.7.1`, whatever "
            "`when_down` says: a filter that has much to do is not down.",
            live},
           filter.connections_max, {1, 10'000});
  v.duration({"waiting_age",
              "`queue_and_wait`: when the oldest message has waited for so long, new mail gets `452 4.3.1`. "
              "What waits goes on waiting.",
              live},
             filter.waiting_age_max, {1s, 365 * 24h});
  v.size({"waiting_size", "The same when so many octets wait.", live}, filter.waiting_octets_max,
         {1, 1ULL << 50});
  v.choice({"while_waiting",
            "Whether the hub is ready while mail waits for it. `unready`: load goes to other hubs.", live},
           filter.unready, while_waiting_names);
}

constexpr std::uint64_t percent_max = 101;  // never reached: not watched

template <std::uint64_t most>
void describe_marks(ConfigVisitor& v, PressureMarksConfig& marks) {
  v.number({"medium", "Medium pressure begins here.", live}, marks.medium, {0, most});
  v.number({"high", "High pressure begins here. `0`: not watched; of a disk: computed from its size.", live},
           marks.high, {0, most});
  v.number({"leave_high", "High pressure ends below this.", live}, marks.leave_high, {0, most});
  v.number({"leave_medium", "Medium pressure ends below this.", live}, marks.leave_medium, {0, most});
}

void describe_pressure(ConfigVisitor& v, PressureConfig& pressure) {
  constexpr auto percent = describe_marks<percent_max>;
  constexpr auto count = describe_marks<1ULL << 50>;
  v.ranges(
      {"trusted_networks", "Clients whose mail is neither delayed nor refused at medium pressure.", live},
      pressure.trusted_networks);
  v.texts({"trusted_domains",
           "Domains of senders whose mail is neither delayed nor refused at medium pressure, from clients "
           "that may relay: `example.com`, "
           "`*.example.com` (any below it).",
           live},
          pressure.trusted_domains, route_domain);
  v.number({"history_depth",
            "At medium pressure each MAIL of others waits longer and longer, up to 55 s. After so many "
            "looks, one every two seconds, it gets "
            "`452 4.3.1`.",
            live},
           pressure.history_depth, {1, 100'000});
  v.group({"disk",
           "Percent of the spool's file system that is used. Computed: high is `100 * (size - reserve) / "
           "size`, where the reserve is 500 MB, or a tenth "
           "of a smaller disk; medium with twice the reserve free; they end with 1.5 and 3 times the reserve "
           "free."},
          pressure.disk, percent);
  v.group({"log_disk",
           "The same for the write-ahead log: the reserve is three times the 64 MiB that it may grow to "
           "between checkpoints, at most 5 GB, or a tenth of a smaller disk."},
          pressure.log_disk, percent);
  v.group({"inodes", "Percent of the file system's inodes that are used."}, pressure.inodes, percent);
  v.group({"wal", "Octets of the write-ahead log that no checkpoint has brought into the database."},
          pressure.wal, count);
  v.group({"waiting_writes", "Operations that wait for a commit."}, pressure.waiting_writes, count);
  v.group({"commit_latency", "Milliseconds that the last commit took."}, pressure.commit_latency, count);
  v.group(
      {"process_memory",
       "Percent of the memory that the process may have, by its cgroup or the machine, that is resident."},
      pressure.process_memory, percent);
  v.group({"system_memory", "Percent of the machine's memory that is not available."}, pressure.system_memory,
          percent);
  v.group({"queue",
           "Messages in the queue. A long queue costs a hub disk and nothing else, so it is not watched by "
           "default."},
          pressure.queue, count);
  v.group({"descriptors", "Percent of the file descriptors that the process may open."}, pressure.descriptors,
          percent);
}

void describe_admin_tls(ConfigVisitor& v, AdminTlsConfig& tls) {
  v.path({"certificate",
          "PEM file: the certificate first, then those that lead to its root. Default: none, and no TLS.",
          restart},
         tls.files.certificate);
  v.path({"key",
          "PEM file with its key, without passphrase, not readable by everybody. Default: in the same file.",
          restart},
         tls.files.key);
  v.path({"client_ca",
          "PEM file with the authorities that certificates of clients must lead to. Default: none are asked "
          "for.",
          restart},
         tls.client_ca);
  v.texts({"client_names_read", "Clients whose certificate carries one of these DNS names may read.", live},
          tls.client_names_read, host_name);
  v.texts({"client_names_write",
           "Clients whose certificate carries one of these DNS names may do everything.", live},
          tls.client_names_write, host_name);
}

void describe_admin(ConfigVisitor& v, AdminConfig& admin) {
  v.path({"socket",
          "Unix socket for the commands `umbra status`, `umbra queue` and so on. Only the user that runs the "
          "hub may connect.",
          restart},
         admin.socket);
  v.optional_endpoint({"address",
                       "`address:port` for `/healthz/startup`, `/healthz/ready`, `/healthz/live` and "
                       "`/metrics` over HTTP, for everybody who can reach it. "
                       "The admin API (`/v1`, admin-api.md) is there only for those with credentials: "
                       "`tokens_file`, or a certificate "
                       "(`tls.client_ca`). Default: none.",
                       restart},
                      admin.address);
  v.secret({"tokens_file",
            "A file with a line `name:role:hash` for each bearer token: the role is `read` or `write`, the "
            "hash the SHA-256 of the token in "
            "hexadecimal. Not readable by everybody. Read again on `umbra reload` and SIGHUP.",
            live},
           admin.tokens_file, admin.tokens);
  v.group({"tls",
           "TLS at `address`. Plain HTTP goes on to be answered there, but for `/v1`: which of the two it "
           "is, the first octet of a connection tells. "
           "Files are read again on `umbra reload` and SIGHUP."},
          admin.tls, describe_admin_tls);
  v.choice({"allow_without_tls",
            "`/v1` also on connections that are not encrypted, where anybody on the way can read the tokens. "
            "On a loopback address it is so anyway.",
            live},
           admin.allow_without_tls, truth_names);
}

void describe_log(ConfigVisitor& v, LogConfig& log) {
  std::size_t level = 0;
  while (level + 1 < level_names.size() && level_names[level] != log.level) ++level;
  v.choice({"level", "Lines below this level are left out. The events of messages are always written.", live},
           level, level_names);
  log.level = std::string(level_names[level]);
  v.path({"file", "The log file. Default: standard error.", restart}, log.file);
  v.size({"file_size", "The file is closed and renamed `.1` when it would grow beyond this.", restart},
         log.file_octets_max, {64U << 10, 1ULL << 40});
  v.number({"files", "How many files are kept, the present one included.", restart}, log.files_max,
           {1, 1000});
}

void describe_record_log(ConfigVisitor& v, RecordLogConfig& log) {
  v.choice({"enabled", "Whether it is written.", live}, log.enabled, truth_names);
  v.size({"file_size", "A further file is begun when one would grow beyond this, and each day (UTC).", live},
         log.file_octets_max, {64U << 10, 1ULL << 40});
  v.size({"folder_size",
          "Octets of all its files; the oldest is removed when there are more, with a warning when it is not "
          "yet `age` old.",
          live},
         log.folder_octets_max, {128U << 10, 1ULL << 50});
  v.duration({"age", "A file is removed when its last record is older. `0`: however old.", live}, log.age_max,
             {0s, 10 * 365 * 24h});
}

void describe_record_logs(ConfigVisitor& v, RecordLogsConfig& logs) {
  v.path({"folder", "Where the files are. Default: `logs` in `spool.directory`.", restart}, logs.folder);
  v.choice({"format", "`csv`: comma-separated values (RFC 4180). `json`: one object a line.", restart},
           logs.format, record_format_names);
  v.group({"protocol",
           "What is said on connections, of listeners and routes with `protocol_log: verbose`: "
           "`RECVyyyymmdd-nnnn.log`, `SENDyyyymmdd-nnnn.log`; limits are for each of the two."},
          logs.protocol, describe_record_log);
  v.group({"connectivity", "Connections to next hops and hubs: `CONNECTLOGyyyymmdd-nnnn.log`."},
          logs.connectivity, describe_record_log);
  v.group({"tracking",
           "What happens to every message, from which `umbra trace` answers: `MSGTRKyyyymmdd-nnnn.log`."},
          logs.tracking, describe_record_log);
  v.choice({"subjects", "Whether the tracking log says the subjects of messages.", live}, logs.subjects,
           truth_names);
}

}  // namespace

Config documented_defaults() {
  Config config;
  config.admin.socket = "/run/umbra/admin.sock";  // `umbra status` and the others look there too
  return config;
}

void describe_config(ConfigVisitor& v, Config& config) {
  v.group({"hub", "This process.", true}, config, describe_hub);
  v.group({"spool", "Mail on this machine's disk.", true}, config.spool, describe_spool);
  v.list({"listeners", "Where mail comes in.", live, true}, config.listeners, describe_listener);
  v.list({"routes",
          "Where mail goes, by recipient domain. Mail for a domain that no route names bounces with 5.4.4.",
          live, true},
         config.routes, describe_route);
  v.group({"delivery", "How mail is sent on."}, config.delivery, describe_delivery);
  v.list({"bounce_profiles",
          "How long and how often mail is tried and what its sender hears of it, for routes that name one. "
          "`exchange` is what `delivery` is by default: retries "
          "after 4 times 1, 6 times 5, then every 10 minutes, for 48 hours. `esa`: after 1, 2, 4, 8, 16, 32, "
          "then every 60 minutes, 100 retries or 72 hours, "
          "whichever is first, no warning.",
          live},
         config.bounce_profiles, describe_bounce_profile);
  v.group({"resolver", "Name resolution."}, config.resolver, describe_resolver);
  v.group({"cluster", "The hubs that protect one another's mail."}, config.cluster, describe_cluster);
  v.group({"safety_net",
           "Delivered mail that is kept for a time, on the hub that delivered it and on those that held its "
           "copies, and can be sent again when a "
           "next hop has lost it (safety-net.md). Off by default: it needs both `keep` and `size`."},
          config.safety_net, describe_safety_net);
  v.list({"throttling_policies", "How much clients may send. Without one a client sends as much as it likes.",
          live},
         config.throttling_policies, describe_throttling_policy);
  v.list({"content_filters",
          "Content filters that speak the milter protocol, in the order in which mail is put before them: "
          "after its end, before its `250` and its copies.",
          live},
         config.content_filters, describe_content_filter);
  v.group({"pressure",
           "Back pressure: what the hub may run short of, looked at every two seconds. At medium pressure "
           "mail of clients that are not trusted is delayed, "
           "then refused; at high pressure all new mail gets `452 4.3.1`. What is accepted is not touched, "
           "and copies for other hubs are taken "
           "until half of `spool.reserve` is left."},
          config.pressure, describe_pressure);
  v.group({"admin", "What operators and monitoring talk to."}, config.admin, describe_admin);
  v.group({"log", "Where the hub writes what happens to every message."}, config.log, describe_log);
  v.group({"logs", "Record logs: files for people and their tools (logs.md)."}, config.logs,
          describe_record_logs);
}

}  // namespace umbra::hub
