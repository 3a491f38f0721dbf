// The validated values of one hub's configuration file (YAML; docs/configuration.md). Parts of the hub take
// the struct they need, never the file. Every default here is the documented one.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/protection.h"
#include "hub/net/stream.h"
#include "smtp/extensions.h"
#include "smtp/shadow_verbs.h"

namespace umbra::hub {

using namespace std::chrono_literals;

/// How much of redundancy a listener asks for before it says 250.
enum class ShadowPolicy : std::uint8_t {
  require,  ///< two hubs or 451 4.4.0
  prefer,   ///< two hubs if possible; otherwise on_failure says, and it is counted as unprotected and
            ///< protected later
  none
};

/// Under `prefer`, what happens to a message of which no other hub could take a copy.
enum class OnShadowFailure : std::uint8_t {
  delay,  ///< the 250 waits for its delivery, at most max_acknowledgement_delay
  accept  ///< 250 at once
};

/// IPv4 or IPv6 addresses: one, a network in CIDR form, or from one to another. IPv4-mapped IPv6 is taken as
/// IPv4.
struct AddressRange {
  using Octets = std::array<std::uint8_t, 16>;
  std::string text;  ///< as written, for messages
  Octets first{};    ///< IPv4 as ::ffff:a.b.c.d
  Octets last{};
  [[nodiscard]] bool contains(std::string_view address) const;
  /// Every address of `other` is in this one.
  [[nodiscard]] bool covers(const AddressRange& other) const {
    return first <= other.first && other.last <= last;
  }
  /// Some address is in both.
  [[nodiscard]] bool meets(const AddressRange& other) const {
    return first <= other.last && other.first <= last;
  }
  /// last - first: of two ranges the one with the smaller extent is the more specific one.
  [[nodiscard]] Octets extent() const;
  /// Of IPv4 addresses only, however they are written.
  [[nodiscard]] bool is_ipv4() const;
  [[nodiscard]] bool is_same_as(const AddressRange& other) const {
    return first == other.first && last == other.last;
  }
  static std::optional<AddressRange> parse(std::string_view text);
  bool operator==(const AddressRange&) const = default;
};

struct ReceiveLimits {
  std::uint64_t message_octets_max = 50ULL << 20;
  std::uint32_t recipients_max = 1000;
  std::uint32_t command_octets_max = 2048;  ///< with CRLF; RFC 5321 asks for 512 and more with extensions
  std::uint32_t line_octets_max = 1000;     ///< text line with CRLF (RFC 5321 4.5.3.1.6)
  std::uint32_t header_octets_max = 256U << 10;
  std::uint32_t hops_max = 50;       ///< Received fields
  std::uint32_t local_hops_max = 4;  ///< Received fields that this host wrote
  std::uint32_t errors_max = 10;     ///< protocol errors, then 421
  std::uint32_t connections_max = 20'000;
  std::uint32_t connections_per_source_max = 0;       ///< of one address (IPv6: one /64); 0: any number
  std::uint32_t connections_per_source_percent = 10;  ///< of those that are still free; 100: all
  Duration session_timeout = 1h;                      ///< then 421 where no transaction is open; 0: none
  Duration command_timeout = 5min;                    ///< RFC 5321 4.5.3.2.7
  Duration data_timeout = 3min;  ///< between two pieces of a message (RFC 5321 4.5.3.2.5)
};

enum class TlsVersion : std::uint8_t { v1_2, v1_3 };

/// PEM files. An empty `key`: it stands in the certificate's file.
struct TlsFiles {
  std::string certificate;
  std::string key;
  bool operator==(const TlsFiles&) const = default;
};

struct ListenerTlsConfig {
  enum class Mode : std::uint8_t {
    none,
    starttls,
    required,  ///< STARTTLS, and no mail without
    implicit   ///< TLS from the first octet
  };
  enum class ClientCertificates : std::uint8_t { none, request, require };
  Mode mode = Mode::none;
  TlsFiles files;
  std::vector<TlsFiles> more_certificates;  ///< for clients that name another host (SNI)
  TlsVersion minimum_version = TlsVersion::v1_2;
  ClientCertificates client_certificates = ClientCertificates::none;
  std::string client_ca;
  std::vector<std::string> client_names;  ///< who may relay from anywhere, by its certificate
};

struct RouteTlsConfig {
  enum class Policy : std::uint8_t { none, opportunistic, encrypt, verify };
  Policy policy = Policy::opportunistic;
  std::string ca;                  ///< verify; empty: the system's
  std::vector<std::string> names;  ///< verify; empty: the host's own name
  TlsFiles files;                  ///< shown to next hops that ask
  TlsVersion minimum_version = TlsVersion::v1_2;
  bool operator==(const RouteTlsConfig&) const = default;
};

/// Mutual TLS between hubs.
struct ClusterTlsConfig {
  TlsFiles files;
  std::string ca;
  [[nodiscard]] bool enabled() const { return !files.certificate.empty(); }
};

/// What is done about octets that many old applications send and RFC 5321 forbids.
enum class OldHabit : std::uint8_t {
  reject,    ///< 554 5.6.0
  normalize  ///< the message is mended (smtp/line_mender.h)
};

/// Whether clients of a listener say who they are (AUTH), and what their passwords are checked against: one
/// of the two.
struct ListenerAuthenticationConfig {
  enum class Mode : std::uint8_t {
    off,
    offered,
    required  ///< and no mail without
  };
  Mode mode = Mode::off;
  std::string password_file;
  std::string passwords;  ///< what is in it (hub/authentication/password_file.h)
  std::string dovecot;    ///< the Unix socket of Dovecot's authentication server
  bool allow_without_tls = false;
  std::uint32_t failures_max = 3;  ///< log-ons that may fail in a session
  Duration tarpit = 5s;            ///< before the reply to one that failed; 0: none
};

/// As whom this hub logs on at the hosts of a route. No user: it does not.
struct RouteAuthenticationConfig {
  std::string user;
  std::string password_file;
  std::string password;  ///< what is in it
  bool allow_without_tls = false;
  bool operator==(const RouteAuthenticationConfig&) const = default;
};

/// Whether what is said on the connections of a listener or a route is written to the protocol log.
enum class ProtocolLogging : std::uint8_t { none, verbose };

struct ListenerConfig {
  std::string name;
  Endpoint address;
  std::vector<AddressRange> clients =
      {};  ///< that it serves, of those that come to its address; empty: all that no other does
  std::string host_name = {};                      ///< empty: the hub's
  std::string banner = "ESMTP Umbra";              ///< behind the host name, in the greeting
  std::vector<AddressRange> networks;              ///< clients that may relay; empty: nobody
  std::vector<std::string> accepted_domains = {};  ///< of recipients that anybody may send to
  std::vector<AddressRange> proxy_protocol =
      {};                                  ///< proxies that say in front of each connection whose it is
  std::vector<AddressRange> xclient = {};  ///< clients that may say by XCLIENT for whom they speak
  smtp::Extensions extensions = {};
  OldHabit bare_line_ends = OldHabit::reject;
  OldHabit long_lines = OldHabit::reject;
  ShadowPolicy shadow = ShadowPolicy::require;
  Protection protection;  ///< under require and prefer
  OnShadowFailure on_failure = OnShadowFailure::delay;
  Duration acknowledgement_delay_max = 30s;           ///< 0: off
  std::uint32_t delayed_acknowledgements_max = 1000;  ///< clients that may wait at once
  ReceiveLimits limits;
  Duration tarpit = 5s;  ///< before a 5xx reply to a command; 0: none
  ListenerTlsConfig tls = {};
  ListenerAuthenticationConfig authentication = {};
  ProtocolLogging protocol_log = ProtocolLogging::none;
};

struct RouteHost {
  Endpoint endpoint;
  int preference = 0;  ///< lower first; equal ones share the load
  bool operator==(const RouteHost&) const = default;
};

struct RouteConfig {
  enum class EightBit : std::uint8_t { bounce, convert };
  std::string name;
  std::vector<std::string>
      domains;  ///< "example.com", "*.example.com" (any below), "*" (all); the most specific wins
  std::vector<RouteHost> hosts;  ///< smart hosts; empty: by MX
  std::uint16_t mx_port = 25;
  EightBit eight_bit = EightBit::bounce;  ///< 8-bit mail to a next hop without 8BITMIME
  std::uint32_t connections_max = 20;     ///< at once, per destination
  std::uint32_t messages_per_connection_max = 1000;
  std::uint32_t recipient_rate_limit = 0;  ///< a minute, to one destination; 0: as many as it takes
  std::string bounce_profile = {};         ///< by name; empty: that of `delivery`
  RouteTlsConfig tls = {};
  RouteAuthenticationConfig authentication = {};
  std::vector<std::string> hubs = {};  ///< not empty: mail is handed over to one of these hubs of the cluster
  std::vector<std::string> source_addresses =
      {};  ///< of this machine, to connect from; at most one IPv4 and one IPv6; empty: the system's choice
  ProtocolLogging protocol_log = ProtocolLogging::none;
  bool operator==(const RouteConfig&) const = default;
};

struct RetryStep {
  std::uint32_t times = 0;  ///< 0: for ever
  Duration wait{};
};

/// How often and how long mail is tried, and what its sender hears of it.
struct BounceProfileConfig {
  std::string name = {};
  std::vector<RetryStep> retry = {{4, 1min}, {6, 5min}, {0, 10min}};
  std::uint32_t retries_max = 0;  ///< after the first attempt; 0: as many as there is time for
  Duration expiry = 48h;
  Duration delay_warning = 4h;  ///< 0: none
  enum class Format : std::uint8_t { dsn, plain };
  Format format = Format::dsn;
  enum class Returned : std::uint8_t {
    as_asked,  ///< by RET of MAIL (RFC 3461 section 4.3): the header, or the whole of what is not too long
    header,
    nothing
  };
  Returned returned = Returned::as_asked;
  std::string report_to = {};  ///< who gets the reports; empty: the sender
};

/// Its own profile is that of all mail whose route names none.
struct DeliveryConfig : BounceProfileConfig {
  Duration connect_timeout = 30s;
  Duration command_timeout = 5min;
  Duration data_reply_timeout = 10min;           ///< after the final dot (RFC 5321 4.5.3.2.6)
  Duration idle_timeout = 30s;                   ///< a kept connection without mail
  std::uint32_t connections_max = 500;           ///< over all destinations
  std::uint64_t ready_octets_max = 64ULL << 20;  ///< bodies kept in memory between accept and delivery
  std::uint32_t crashes_max =
      3;  ///< ends of the process during attempts of a message; then it is held. 0: never
  bool trace_field =
      true;  ///< what became of a message in this hub is said in a header field of it (smtp/hop_field.h)
};

struct ResolverConfig {
  std::vector<Endpoint> servers;  ///< empty: the system's
  Duration timeout = 10s;
};

/// Who may deliver and who may take over (docs/xshadow.md section 6).
enum class OwnershipMode : std::uint8_t {
  automatic,  ///< majority where there are three hubs or more, else pairwise
  pairwise,
  majority,
  etcd,
  kubernetes
};

/// The engine that the modes etcd and kubernetes ask.
struct ArbiterConfig {
  std::vector<Endpoint> endpoints;
  std::string ca_file;  ///< empty: no TLS
  std::string certificate_file;
  std::string key_file;
  std::string token_file;  ///< kubernetes
  std::string name_space;  ///< kubernetes; empty: from namespace_file
  std::string namespace_file;
  std::string prefix;  ///< of keys and of names of leases
};

struct MemberConfig {
  std::string name;
  Endpoint address;       ///< where it listens for hubs; host may be a name
  std::string zone = {};  ///< what fails together with it (rack, room, site); empty: not said
};

/// How hubs find one another where there is no list: by a DNS name that stands for all of them.
struct DiscoveryConfig {
  enum class Type : std::uint8_t {
    srv,     ///< each target is a host name whose first label is the hub's name, with its port
    address  ///< A and AAAA of hubs that all listen at one port; who is where, they say themselves
  };
  std::string dns;  ///< empty: there is a list
  Type type = Type::srv;
  std::uint16_t port = 0;  ///< type address
  Duration interval = 5s;  ///< between two questions
  Duration forget_after =
      10min;  ///< a hub that DNS does not name and that is silent, when nothing is owed to it
  [[nodiscard]] bool enabled() const { return !dns.empty(); }
};

struct ClusterConfig {
  Endpoint address;         ///< where this hub listens for other hubs; port 0: no cluster
  std::string secret_file;  ///< as written; empty: none
  std::string secret;       ///< shared by all hubs (from secret_file or UMBRA_CLUSTER_SECRET)
  ClusterTlsConfig tls = {};
  std::vector<MemberConfig> members;  ///< every hub, this one included; empty with discovery
  /// The versions of XSHADOW spoken. Not from a file: tests play the release before and the one after.
  int version_lowest = smtp::shadow_version_lowest;
  int version_highest = smtp::shadow_version_highest;
  OwnershipMode ownership = OwnershipMode::automatic;
  ArbiterConfig arbiter;
  Duration lease = 10s;
  Duration heartbeat = 1s;
  Duration copy_timeout = 5s;    ///< all attempts to copy one message together
  Duration ask_again = 2s;       ///< pairwise: how long a silent holder is asked before a delivery goes on
  Duration return_wait = 30s;    ///< pairwise: how long a returning hub waits for a silent holder
  Duration out_wait = 10min;     ///< not pairwise: how long a returning hub waits for a holder that is out
  Duration restart_grace = 30s;  ///< after its own start a hub takes nothing over before this
  Duration reprotect_after = 60s;
  std::uint32_t reprotect_messages_per_second = 500;
  std::uint64_t reprotect_octets_per_second = 50ULL << 20;
  DiscoveryConfig discovery;
  std::string zone;  ///< of this hub, with discovery; with a list it stands there
  [[nodiscard]] bool enabled() const { return !members.empty() || discovery.enabled(); }
  /// Of this hub; empty where none is said.
  [[nodiscard]] std::string own_zone(std::string_view hub_name) const {
    for (const auto& member : members)
      if (member.name == hub_name) return member.zone;
    return zone;
  }
};

/// TLS of the admin address, and who is who by the certificate it shows.
struct AdminTlsConfig {
  TlsFiles files;
  std::string client_ca;                        ///< empty: no certificates are asked for
  std::vector<std::string> client_names_read;   ///< DNS names in certificates of those who may read
  std::vector<std::string> client_names_write;  ///< who may do everything
  [[nodiscard]] bool enabled() const { return !files.certificate.empty(); }
};

struct AdminConfig {
  std::string socket;  ///< Unix socket for the operator's commands; empty (never from a file): none
  std::optional<Endpoint> address;  ///< TCP: health and metrics; commands too for those with credentials
  std::string tokens_file;
  std::string tokens;  ///< what is in it (hub/admin/credentials.h)
  AdminTlsConfig tls;
  bool allow_without_tls = false;  ///< commands, where the address is not loopback
};

struct LogConfig {
  std::string level = "info";
  std::string file;  ///< empty: standard error
  std::uint64_t file_octets_max = 100ULL << 20;
  std::uint32_t files_max = 10;
};

/// One kind of record log (hub/logs/record_log.h).
struct RecordLogConfig {
  bool enabled = true;
  std::uint64_t file_octets_max = 10ULL << 20;
  std::uint64_t folder_octets_max = 1000ULL << 20;  ///< of all files of the kind; then the oldest goes
  Duration age_max = 30 * 24h;                      ///< 0: however old
};

/// Files of records, for people and their tools: one record a line.
struct RecordLogsConfig {
  enum class Format : std::uint8_t { csv, json };
  std::string folder;  ///< empty (never from a file): none is written
  Format format = Format::csv;
  RecordLogConfig protocol = {.folder_octets_max = 250ULL << 20};
  RecordLogConfig connectivity = {};
  RecordLogConfig tracking = {};
  bool subjects = false;  ///< in the tracking log
};

/// What becomes of a spool that is found to be damaged.
enum class OnCorruption : std::uint8_t {
  automatic,  ///< set_aside with a cluster, refuse without one
  set_aside,  ///< its files are moved into a folder beside it, and the hub starts with a new, empty spool
  refuse      ///< the hub ends and does not start before an operator has acted
};

struct SpoolConfig {
  std::string directory;
  std::uint64_t reserve_octets = 200ULL << 20;  ///< below this much free disk new mail gets 452 4.3.1
  OnCorruption on_corruption = OnCorruption::automatic;
  std::uint32_t set_aside_max = 3;  ///< damaged spools kept; with so many the hub does not start
};

/// Delivered mail that is kept, so that it can be sent again. Off unless both are set.
struct SafetyNetConfig {
  Duration keep{};
  std::uint64_t octets_max = 0;
  std::uint64_t resend_messages_per_second = 100;
  [[nodiscard]] bool enabled() const { return keep > Duration{} && octets_max > 0; }
};

/// How much a client may send. 0: as much as it likes.
struct ThrottlingPolicyConfig {
  std::string name;
  std::vector<AddressRange> networks;      ///< of clients it is for; empty: any
  std::vector<std::string> hosts = {};     ///< the same, by name
  std::vector<std::string> listeners;      ///< listeners that it is for; empty: all
  std::vector<std::string> users;          ///< who have logged on; empty: it is for clients, whoever they are
  std::uint32_t message_rate_limit = 0;    ///< a minute
  std::uint32_t recipient_rate_limit = 0;  ///< a minute
  std::uint32_t connection_rate_limit = 0;  ///< a minute
  std::uint32_t connections_max = 0;        ///< at once
  enum class Source : std::uint8_t {
    none,        ///< messages and recipients are not counted
    ip_address,  ///< each address by itself (IPv6: each /64)
    user,        ///< each user who has logged on by itself; who has not, by address
    all          ///< all clients of the policy together
  };
  Source message_rate_source = Source::ip_address;
  enum class Scope : std::uint8_t { hub, cluster /* the hubs that are heard share the limits */ };
  Scope scope = Scope::hub;
};

/// A content filter that mail is put before (hub/filter), by the milter protocol.
struct ContentFilterConfig {
  enum class WhenDown : std::uint8_t { tempfail, accept, reject, hold, queue_and_wait };
  std::string name;
  std::string address;                 ///< "host:port", or the path of a Unix socket
  std::vector<std::string> listeners;  ///< whose mail it sees; empty: all
  std::vector<AddressRange> networks;  ///< of clients, the same
  WhenDown when_down = WhenDown::tempfail;
  Duration connect_timeout = 5s;
  Duration command_timeout = 30s;          ///< negotiation, and each answer up to DATA
  Duration content_timeout = 1min;         ///< each answer to a header or a piece of the body
  Duration end_of_message_timeout = 3min;  ///< each answer, or "wait longer", at the end
  Duration message_timeout = 5min;         ///< all of these together
  Duration retry_after = 10s;              ///< after it was found down
  std::uint32_t connections_max = 20;
  Duration waiting_age_max = 24 * 1h;             ///< queue_and_wait: of the oldest message
  std::uint64_t waiting_octets_max = 1ULL << 30;  ///< the same of all that wait, together
  bool unready = false;                           ///< while mail waits the hub is not ready
  bool operator==(const ContentFilterConfig&) const = default;
};

/// When a level of back pressure begins (`medium`, `high`: at or above) and ends (below). In the resource's
/// own unit.
struct PressureMarksConfig {
  std::uint64_t medium = 0;
  std::uint64_t high = 0;  ///< 0: not watched; of a disk: by its size
  std::uint64_t leave_high = 0;
  std::uint64_t leave_medium = 0;
  bool operator==(const PressureMarksConfig&) const = default;
};

/// What a hub may run short of, and who is served to the last (hub/pressure).
struct PressureConfig {
  std::vector<AddressRange> trusted_networks;
  std::vector<std::string> trusted_domains;
  std::uint32_t history_depth = 30;  ///< looks, one every two seconds
  PressureMarksConfig disk;
  PressureMarksConfig log_disk;
  PressureMarksConfig inodes = {93, 96, 94, 91};
  PressureMarksConfig wal = {512ULL << 20, 1ULL << 30, 768ULL << 20, 256ULL << 20};
  PressureMarksConfig waiting_writes = {10'000, 20'000, 15'000, 5'000};
  PressureMarksConfig commit_latency = {2'000, 10'000, 5'000, 1'000};
  PressureMarksConfig process_memory = {72, 75, 73, 71};
  PressureMarksConfig system_memory = {95, 98, 96, 93};
  PressureMarksConfig queue;
  PressureMarksConfig descriptors = {85, 95, 90, 80};
};
struct PressureMarksKey {
  std::string_view name;
  PressureMarksConfig PressureConfig::* marks;
};
/// By hub/pressure's Resource.
inline constexpr std::array pressure_marks_keys = {
    PressureMarksKey{"disk", &PressureConfig::disk},
    PressureMarksKey{"log_disk", &PressureConfig::log_disk},
    PressureMarksKey{"inodes", &PressureConfig::inodes},
    PressureMarksKey{"wal", &PressureConfig::wal},
    PressureMarksKey{"waiting_writes", &PressureConfig::waiting_writes},
    PressureMarksKey{"commit_latency", &PressureConfig::commit_latency},
    PressureMarksKey{"process_memory", &PressureConfig::process_memory},
    PressureMarksKey{"system_memory", &PressureConfig::system_memory},
    PressureMarksKey{"queue", &PressureConfig::queue},
    PressureMarksKey{"descriptors", &PressureConfig::descriptors},
};

struct Config {
  std::string file;     ///< where it was read from
  std::string version;  ///< of the file as it was read: the same text has the same (12 hexadecimal digits of
                        ///< its SHA-256)
  std::string hub_name;
  std::string host_name;  ///< in greeting, EHLO, Received; default: hub_name
  SpoolConfig spool;
  std::vector<ListenerConfig> listeners;
  std::vector<RouteConfig> routes;
  DeliveryConfig delivery;
  std::vector<BounceProfileConfig> bounce_profiles = {};
  ResolverConfig resolver;
  ClusterConfig cluster;
  SafetyNetConfig safety_net = {};
  std::vector<ThrottlingPolicyConfig> throttling_policies = {};
  std::vector<ContentFilterConfig> content_filters = {};
  PressureConfig pressure = {};
  AdminConfig admin;
  LogConfig log;
  RecordLogsConfig logs = {};
};

/// One thing wrong with a configuration file: where, what is wrong, what was expected.
struct ConfigProblem {
  std::string file;
  int line = 0;  ///< from 1; 0: the file as a whole
  std::string what;
};
std::string to_string(const ConfigProblem& problem);  // "file:line: what"

/// Reads and validates; all problems at once, not only the first.
std::expected<Config, std::vector<ConfigProblem>> load_config(const std::string& file);
/// The same for text already read; `file` is only for messages and relative paths.
std::expected<Config, std::vector<ConfigProblem>> parse_config(const std::string& text,
                                                               const std::string& file);
/// Of a file with this text (Config::version).
std::string version_of(const std::string& text);

}  // namespace umbra::hub
