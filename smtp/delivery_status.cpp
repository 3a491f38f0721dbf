#include "smtp/delivery_status.h"

#include <algorithm>

#include "smtp/address.h"
#include "smtp/dsn_parameters.h"
#include "smtp/trace_header.h"

namespace umbra::smtp {
namespace {

using Action = DsnRecipient::Action;

// What xtext stands for; what is not valid xtext is shown as it is.
std::string decode_xtext(std::string_view text) {
  return parse_xtext(text).value_or(std::string(text));
}

// Only what may stand in a header field: no line ends, no control characters; octets above 127 only where
// allowed.
std::string field_text(std::string_view text, bool utf8) {
  std::string result;
  for (char c : text) {
    auto octet = static_cast<unsigned char>(c);
    if (octet < 0x20 || octet == 0x7f)
      result.push_back(' ');
    else
      result.push_back(octet >= 0x80 && !utf8 ? '?' : c);
  }
  return result;
}

// A field of any length, folded at blanks so that no line is longer than 998 octets (RFC 5322 section 2.1.1).
void add_field(std::string& out, std::string_view name, std::string_view value, bool utf8) {
  std::string text = field_text(value, utf8);
  std::string_view rest = text;
  std::size_t room = 76 - std::min<std::size_t>(name.size() + 2, 40);
  out.append(name).append(": ");
  while (rest.size() > room) {
    auto cut = rest.rfind(' ', room);
    if (cut == std::string_view::npos || cut == 0) cut = rest.find(' ', room);
    if (cut == std::string_view::npos || cut > 900) cut = std::min<std::size_t>(rest.size(), 900);
    if (cut == rest.size()) break;
    out.append(rest.substr(0, cut)).append("\r\n ");
    rest.remove_prefix(rest[cut] == ' ' ? cut + 1 : cut);
    room = 74;
  }
  out.append(rest).append("\r\n");
}

std::string_view to_text(Action action) {
  switch (action) {
    case Action::failed:
      return "failed";
    case Action::delayed:
      return "delayed";
    case Action::delivered:
      return "delivered";
    case Action::relayed:
      return "relayed";
  }
  return "failed";
}

std::string_view subject_of(Action action) {
  switch (action) {
    case Action::failed:
      return "Undelivered mail returned to sender";
    case Action::delayed:
      return "Delayed mail (still being retried)";
    case Action::delivered:
      return "Successful mail delivery report";
    case Action::relayed:
      return "Mail relayed to a system that sends no delivery reports";
  }
  return "Delivery report";
}

std::string_view explanation_of(Action action) {
  switch (action) {
    case Action::failed:
      return "Your message could not be delivered to the recipients below.\r\nIt will not be tried "
             "again.\r\n";
    case Action::delayed:
      return "Your message has not been delivered to the recipients below yet.\r\n"
             "You need not send it again: it is still being tried.\r\n";
    case Action::delivered:
      return "Your message was delivered to the recipients below.\r\n";
    case Action::relayed:
      return "Your message was handed to a mail system that sends no delivery reports.\r\n"
             "You may hear nothing more about the recipients below.\r\n";
  }
  return "";
}

// "rfc822;user@example.com" for a plain address, "utf-8;..." otherwise (RFC 6533 section 3).
std::string typed_address(const std::string& address) {
  return (is_ascii(address) ? "rfc822;" : "utf-8;") + address;
}

// ORCPT "rfc822;user+2Bx@example.com" with its xtext decoded.
std::string original_recipient(const std::string& parameter) {
  auto semicolon = parameter.find(';');
  if (semicolon == std::string::npos) return "rfc822;" + decode_xtext(parameter);
  return parameter.substr(0, semicolon + 1) + decode_xtext(std::string_view(parameter).substr(semicolon + 1));
}

void add_recipient_line(std::string& out, const DsnRecipient& recipient, bool utf8) {
  std::string line = "  <" + field_text(recipient.recipient.address, utf8) + ">: ";
  if (!recipient.remote_mta.empty()) line += "host " + field_text(recipient.remote_mta, false) + " said: ";
  line += field_text(recipient.diagnostic, utf8);
  if (line.size() > 900) line.resize(900);
  if (utf8)  // not half a character
    while (!is_utf8(line)) line.pop_back();
  out += line + "\r\n";
}

void add_explanation(std::string& out, const DsnText& dsn, bool utf8) {
  out += "This is the mail system at host " + field_text(dsn.reporting_mta, false) + ".\r\n";
  for (Action action : {Action::failed, Action::delayed, Action::relayed, Action::delivered}) {
    if (std::ranges::none_of(dsn.recipients, [&](const auto& r) { return r.action == action; })) continue;
    out += "\r\n";
    out += explanation_of(action);
    out += "\r\n";
    for (const auto& recipient : dsn.recipients)
      if (recipient.action == action) add_recipient_line(out, recipient, utf8);
    if (action == Action::delayed && dsn.will_retry_until)
      out += "\r\nIt will be tried until " + date_time(*dsn.will_retry_until) + ".\r\n";
  }
  out += "\r\nMessage: " + field_text(dsn.original_id, false) + "\r\n";
}

void add_status(std::string& out, const DsnText& dsn, bool utf8) {
  add_field(out, "Reporting-MTA", "dns; " + dsn.reporting_mta, utf8);
  if (!dsn.envelope_id.empty()) add_field(out, "Original-Envelope-Id", decode_xtext(dsn.envelope_id), utf8);
  add_field(out, "Arrival-Date", date_time(dsn.arrival), utf8);
  for (const auto& recipient : dsn.recipients) {
    out += "\r\n";
    if (!recipient.recipient.original_recipient.empty())
      add_field(out, "Original-Recipient", original_recipient(recipient.recipient.original_recipient), utf8);
    add_field(out, "Final-Recipient", typed_address(recipient.recipient.address), utf8);
    add_field(out, "Action", to_text(recipient.action), utf8);
    add_field(out, "Status", recipient.status, utf8);
    if (!recipient.remote_mta.empty()) add_field(out, "Remote-MTA", "dns; " + recipient.remote_mta, utf8);
    if (!recipient.diagnostic.empty())
      add_field(out, "Diagnostic-Code",
                (recipient.is_smtp_reply ? "smtp; " : "x-umbra; ") + recipient.diagnostic, utf8);
    add_field(out, "Last-Attempt-Date", date_time(dsn.now), utf8);
    if (recipient.action == Action::delayed && dsn.will_retry_until)
      add_field(out, "Will-Retry-Until", date_time(*dsn.will_retry_until), utf8);
  }
}

}  // namespace

std::string_view header_of(std::string_view message) {
  if (message.starts_with("\r\n")) return {};
  auto end = message.find("\r\n\r\n");
  return end == std::string_view::npos ? message : message.substr(0, end + 2);
}

DsnMessage make_dsn(const DsnText& dsn) {
  const bool utf8 = !is_ascii(dsn.to) || std::ranges::any_of(dsn.recipients, [](const auto& r) {
    return !is_ascii(r.recipient.address);
  });
  // The worst of what is reported names the whole.
  Action action = Action::delivered;
  for (const auto& recipient : dsn.recipients) action = std::min(action, recipient.action);
  std::string returned = dsn.returned;
  // Headers that claim to be 7-bit are returned as such; a whole message keeps its octets.
  if (!utf8 && !dsn.is_full)
    std::ranges::replace_if(returned, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  const bool is_returned_8bit = !is_ascii(returned);

  DsnMessage message;
  message.smtputf8 = utf8;
  message.is_8bit = utf8 || is_returned_8bit;
  std::string& out = message.text;
  out.reserve(returned.size() + 4096);
  const char* body_encoding = message.is_8bit ? "8bit" : "7bit";
  add_field(out, "From", "Mail Delivery System <MAILER-DAEMON@" + dsn.reporting_mta + ">", utf8);
  add_field(out, "To", "<" + dsn.to + ">", utf8);
  add_field(out, "Subject", subject_of(action), utf8);
  add_field(out, "Date", date_time(dsn.now), utf8);
  add_field(out, "Message-ID", "<" + dsn.message_id + "@" + dsn.reporting_mta + ">", utf8);
  add_field(out, "Auto-Submitted", "auto-replied", utf8);
  add_field(out, "MIME-Version", "1.0", utf8);
  if (dsn.is_plain) {
    out += std::string("Content-Type: text/plain; charset=") + (message.is_8bit ? "utf-8" : "us-ascii") +
           "\r\nContent-Transfer-Encoding: " + body_encoding + "\r\n\r\n";
    add_explanation(out, dsn, utf8);
    if (!returned.empty())
      out += (dsn.is_full ? "\r\nThe message:\r\n\r\n" : "\r\nThe header of the message:\r\n\r\n") + returned;
    if (!out.ends_with("\r\n")) out += "\r\n";
    return message;
  }
  out += "Content-Type: multipart/report; report-type=" +
         std::string(utf8 ? "global-delivery-status" : "delivery-status") + ";\r\n boundary=\"" +
         dsn.boundary + "\"\r\n";
  out += std::string("Content-Transfer-Encoding: ") + body_encoding + "\r\n\r\n";
  out += "This is a MIME-encapsulated message.\r\n";

  out += "\r\n--" + dsn.boundary +
         "\r\nContent-Description: Notification\r\nContent-Type: text/plain; charset=" +
         (utf8 ? "utf-8" : "us-ascii") + "\r\nContent-Transfer-Encoding: " + (utf8 ? "8bit" : "7bit") +
         "\r\n\r\n";
  add_explanation(out, dsn, utf8);

  out += "\r\n--" + dsn.boundary + "\r\nContent-Description: Delivery report\r\nContent-Type: message/" +
         (utf8 ? "global-delivery-status" : "delivery-status") +
         "\r\nContent-Transfer-Encoding: " + (utf8 ? "8bit" : "7bit") + "\r\n\r\n";
  add_status(out, dsn, utf8);

  if (returned.empty()) {
    out += "\r\n--" + dsn.boundary + "--\r\n";
    return message;
  }
  out += "\r\n--" + dsn.boundary + "\r\nContent-Description: ";
  out += dsn.is_full ? "Undelivered message" : "Message headers";
  out += "\r\nContent-Type: ";
  if (dsn.is_full)
    out += utf8 ? "message/global" : "message/rfc822";
  else
    out += utf8 ? "message/global-headers" : "text/rfc822-headers";
  out += std::string("\r\nContent-Transfer-Encoding: ") + (is_returned_8bit ? "8bit" : "7bit") + "\r\n\r\n";
  out += returned;
  if (!out.ends_with("\r\n")) out += "\r\n";
  out += "\r\n--" + dsn.boundary + "--\r\n";
  return message;
}

}  // namespace umbra::smtp
