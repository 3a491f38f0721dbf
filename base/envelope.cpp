#include "base/envelope.h"

#include "base/octets.h"

namespace umbra {
namespace {

constexpr std::uint64_t format_version = 1;
constexpr std::uint64_t recipients_max = 100'000;
constexpr std::uint64_t trail_max = 1'000;
constexpr std::size_t hub_name_octets_max = 64;
constexpr std::uint64_t filters_max = 100;

std::uint64_t to_number(WallTime t) {
  return static_cast<std::uint64_t>(t.time_since_epoch().count());
}
// Bit 7: a trail follows the recipients. Bit 8: sent again from a safety net. Bit 9: behind all that follow
// the content filters it waits for. Protection among the flags: from bit 2 three bits, 0 one copy, 1 no copy,
// else so many; from bit 5 two bits, the zones.
std::uint64_t to_flags(const Envelope& e) {
  std::uint64_t copies = e.protection.copies > 1 ? e.protection.copies : 1U - e.protection.copies;
  return (e.body_8bit ? 1U : 0U) | (e.smtputf8 ? 2U : 0U) | copies << 2U |
         static_cast<std::uint64_t>(e.protection.zones) << 5U | (e.trail.empty() ? 0U : 128U) |
         (e.resent ? 256U : 0U) | (e.waits_for.empty() ? 0U : 512U);
}

WallTime to_time(std::uint64_t n) {
  return WallTime{WallTime::duration{static_cast<std::int64_t>(n)}};
}

}  // namespace

std::string encode(const Envelope& e) {
  std::string out;
  out.reserve(128 + e.recipients.size() * 48);
  put_number(out, format_version);
  put_string(out, e.sender);
  put_string(out, e.envelope_id);
  put_number(out, static_cast<std::uint64_t>(e.dsn_return));
  put_number(out, to_flags(e));
  put_number(out, to_number(e.accepted_at));
  put_number(out, to_number(e.expires_at));
  put_string(out, e.client_address);
  put_string(out, e.client_helo);
  put_number(out, e.recipients.size());
  for (const auto& r : e.recipients) {
    put_string(out, r.address);
    put_string(out, r.original_recipient);
    put_number(out, r.notify);
  }
  for (const auto* names : {&e.trail, &e.waits_for}) {
    if (names->empty()) continue;
    put_number(out, names->size());
    for (const auto& name : *names) put_string(out, name);
  }
  return out;
}

Result<Envelope> decode_envelope(std::string_view bytes) {
  auto bad = [](const char* why) { return failure(std::errc::bad_message, std::string("envelope: ") + why); };
  OctetReader in(bytes);
  if (in.number() != format_version) return bad("unknown format version");
  Envelope e;
  e.sender = in.string();
  e.envelope_id = in.string();
  auto ret = in.number();
  if (ret > 2) return bad("unknown RET");
  e.dsn_return = static_cast<DsnReturn>(ret);
  auto flags = in.number();
  auto copies = (flags >> 2U) & 7U;
  auto zones = (flags >> 5U) & 3U;
  if (flags > 1023 || zones > 2) return bad("unknown flags");
  e.protection.copies = static_cast<std::uint8_t>(copies > 1 ? copies : 1U - copies);
  e.protection.zones = static_cast<ZonePreference>(zones);
  e.body_8bit = (flags & 1U) != 0;
  e.smtputf8 = (flags & 2U) != 0;
  e.resent = (flags & 256U) != 0;
  e.accepted_at = to_time(in.number());
  e.expires_at = to_time(in.number());
  e.client_address = in.string();
  e.client_helo = in.string();
  auto count = in.number();
  if (!in.ok()) return bad("cut short");
  if (count == 0 || count > recipients_max) return bad("number of recipients");
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    Recipient r;
    r.address = in.string();
    r.original_recipient = in.string();
    auto notify = in.number();
    if (notify > 15) return bad("unknown NOTIFY");
    r.notify = static_cast<std::uint8_t>(notify);
    if (in.ok() && r.address.empty()) return bad("empty recipient");
    e.recipients.push_back(std::move(r));
  }
  if ((flags & 128U) != 0) {
    auto hubs = in.number();
    if (!in.ok() || hubs == 0 || hubs > trail_max) return bad("number of hubs in the trail");
    for (std::uint64_t i = 0; i < hubs && in.ok(); ++i) {
      e.trail.emplace_back(in.string());
      if (in.ok() && (e.trail.back().empty() || e.trail.back().size() > hub_name_octets_max))
        return bad("a hub in the trail");
    }
  }
  if ((flags & 512U) != 0) {
    auto filters = in.number();
    if (!in.ok() || filters == 0 || filters > filters_max) return bad("number of content filters");
    for (std::uint64_t i = 0; i < filters && in.ok(); ++i) {
      e.waits_for.emplace_back(in.string());
      if (in.ok() && (e.waits_for.back().empty() || e.waits_for.back().size() > hub_name_octets_max))
        return bad("a content filter");
    }
  }
  if (!in.at_end()) return bad(in.ok() ? "trailing octets" : "cut short");
  for (const auto* text : {&e.sender, &e.envelope_id, &e.client_address, &e.client_helo})
    if (text->find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
      return bad("line end in a value");
  for (const auto& r : e.recipients)
    if (r.address.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos ||
        r.original_recipient.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
      return bad("line end in a recipient");
  for (const auto& hub : e.trail)
    if (hub.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
      return bad("line end in the trail");
  for (const auto& filter : e.waits_for)
    if (filter.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
      return bad("line end in a content filter");
  return e;
}

}  // namespace umbra
