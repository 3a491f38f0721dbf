#include "smtp/command_parser.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/ids.h"
#include "smtp/address.h"
#include "smtp/base64.h"
#include "smtp/dsn_parameters.h"

namespace umbra::smtp {
namespace {

using Parsed = std::expected<Command, CommandProblem>;

std::unexpected<CommandProblem> problem(int code, std::string_view enhanced, std::string_view text) {
  return std::unexpected(CommandProblem{{code, std::string(enhanced), std::string(text)}});
}

std::string_view trimmed(std::string_view text) {
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  while (text.starts_with(' ')) text.remove_prefix(1);
  return text;
}

bool is_control(char c) {
  return (c >= 0 && c < 32 && c != '\t') || c == 127;
}

struct Parameter {
  std::string_view keyword;
  std::string_view value;
  bool has_value = false;
};

/// Takes the next "keyword[=value]" off the front (RFC 5321 4.1.2 esmtp-param); nothing: its syntax is bad.
std::optional<Parameter> take_parameter(std::string_view& rest) {
  rest = trimmed(rest);
  auto end = std::min(rest.find(' '), rest.size());
  auto text = rest.substr(0, end);
  rest.remove_prefix(end);
  auto equals = text.find('=');
  Parameter p{text.substr(0, equals), {}, equals != std::string_view::npos};
  if (p.has_value) p.value = text.substr(equals + 1);
  if (p.keyword.empty() || p.keyword.front() == '-') return std::nullopt;
  for (char c : p.keyword)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'))
      return std::nullopt;
  if (p.has_value && (p.value.empty() || p.value.contains('=') || p.value.contains('\t'))) {
    // xtext writes "=" as "+3D"; an address in ORCPT or an ENVID may not hold it bare.
    return std::nullopt;
  }
  return p;
}

bool is_auth_identity(std::string_view value) {
  if (value == "<>") return true;
  if (value.size() > 500) return false;
  auto text = parse_xtext(value);
  if (!text) return false;
  auto path = parse_path("<" + *text + ">", Utf8::allowed);
  return path && path->octets == text->size() + 2 && !path->mailbox.empty();
}

/// One of MAIL's parameters into `mail`; a reply when it is bad.
std::optional<CommandProblem> take_mail_parameter(const Parameter& p, const CommandContext& context,
                                                  MailFrom& mail, unsigned& seen) {
  enum : unsigned { size = 1, body = 2, utf8 = 4, ret = 8, envid = 16, auth = 32 };
  auto refuse = [](int code, std::string_view enhanced, std::string_view text) {
    return CommandProblem{{code, std::string(enhanced), std::string(text)}};
  };
  auto is = [&](std::string_view keyword) { return equals_ignoring_case(p.keyword, keyword); };
  auto value_is = [&](std::string_view value) { return equals_ignoring_case(p.value, value); };
  auto once = [&](unsigned bit) { return (std::exchange(seen, seen | bit) & bit) == 0; };
  const auto& on = context.extensions;
  if (on.size && is("SIZE")) {
    if (!once(size)) return refuse(501, "5.5.4", "SIZE given twice");
    auto octets = p.value.size() <= 20 ? parse_number(p.value) : std::nullopt;
    if (!octets) return refuse(501, "5.5.4", "SIZE needs a number of octets");
    if (*octets > context.message_octets_max)
      return refuse(552, "5.3.4", "message over " + std::to_string(context.message_octets_max) + " octets");
    mail.announced_octets = *octets;
  } else if (on.eight_bit_mime && is("BODY")) {
    if (!once(body)) return refuse(501, "5.5.4", "BODY given twice");
    if (!value_is("7BIT") && !value_is("8BITMIME")) return refuse(501, "5.5.4", "BODY is 7BIT or 8BITMIME");
    mail.body_8bit = value_is("8BITMIME");
  } else if (on.smtputf8 && is("SMTPUTF8")) {
    if (!once(utf8)) return refuse(501, "5.5.4", "SMTPUTF8 given twice");
    if (p.has_value) return refuse(501, "5.5.4", "SMTPUTF8 takes no value");
    mail.smtputf8 = true;
  } else if (on.dsn && is("RET")) {
    if (!once(ret)) return refuse(501, "5.5.4", "RET given twice");
    if (!value_is("FULL") && !value_is("HDRS")) return refuse(501, "5.5.4", "RET is FULL or HDRS");
    mail.dsn_return = value_is("FULL") ? DsnReturn::full : DsnReturn::headers;
  } else if (on.dsn && is("ENVID")) {
    if (!once(envid)) return refuse(501, "5.5.4", "ENVID given twice");
    if (!is_envelope_id(p.value))
      return refuse(501, "5.5.4", "ENVID is not xtext of printable characters, at most 100");
    mail.envelope_id = p.value;
  } else if (is("AUTH") && context.has_auth) {
    // Who the sender is, says the client (RFC 4954 section 5). Nobody here believes it, and it goes no
    // further.
    if (!once(auth)) return refuse(501, "5.5.4", "AUTH given twice");
    if (!is_auth_identity(p.value))
      return refuse(501, "5.5.4", "AUTH is <> or an address in xtext, at most 500");
  } else {
    return refuse(555, "5.5.4", "parameter not known");
  }
  return std::nullopt;
}

std::optional<CommandProblem> take_rcpt_parameter(const Parameter& p, const CommandContext& context,
                                                  RcptTo& rcpt, unsigned& seen) {
  enum : unsigned { notify = 1, orcpt = 2 };
  auto refuse = [](int code, std::string_view text) {
    return CommandProblem{{code, "5.5.4", std::string(text)}};
  };
  auto once = [&](unsigned bit) { return (std::exchange(seen, seen | bit) & bit) == 0; };
  if (!context.extensions.dsn) return refuse(555, "parameter not known");
  if (equals_ignoring_case(p.keyword, "NOTIFY")) {
    if (!once(notify)) return refuse(501, "NOTIFY given twice");
    auto bits = parse_notify(p.value);
    if (!bits) return refuse(501, "NOTIFY is NEVER, or a list of SUCCESS, FAILURE and DELAY");
    rcpt.recipient.notify = *bits;
  } else if (equals_ignoring_case(p.keyword, "ORCPT")) {
    if (!once(orcpt)) return refuse(501, "ORCPT given twice");
    if (!is_original_recipient(p.value, context.smtputf8))
      return refuse(501, "ORCPT is not address-type;xtext, at most 500");
    rcpt.recipient.original_recipient = p.value;
  } else {
    return refuse(555, "parameter not known");
  }
  return std::nullopt;
}

/// What follows "MAIL" or "RCPT": `keyword` ("FROM:", "TO:") right before the path. Nothing: not this syntax.
std::optional<std::string_view> after_keyword(std::string_view arguments, std::string_view keyword) {
  if (!equals_ignoring_case(arguments.substr(0, keyword.size()), keyword)) return std::nullopt;
  return arguments.substr(keyword.size());
}

Parsed parse_mail(std::string_view arguments, const CommandContext& context) {
  auto rest = after_keyword(arguments, "FROM:");
  if (!rest) return problem(501, "5.5.2", "syntax: MAIL FROM:<address> [parameters]");
  if (rest->starts_with(' ')) return problem(501, "5.5.2", "no blank may stand after the colon");
  auto path = parse_path(*rest, Utf8::allowed);
  if (!path) return problem(501, "5.1.7", path.error());
  if (is_bare_postmaster(path->mailbox)) return problem(501, "5.1.7", "no domain");
  rest->remove_prefix(path->octets);
  if (!rest->empty() && !rest->starts_with(' '))
    return problem(501, "5.5.2", "a blank must stand after the address");
  MailFrom mail;
  mail.sender = path->mailbox;
  unsigned seen = 0;
  for (auto parameters = trimmed(*rest); !parameters.empty(); parameters = trimmed(parameters)) {
    mail.has_parameters = true;
    auto parameter = take_parameter(parameters);
    if (!parameter) return problem(501, "5.5.4", "bad parameter syntax");
    if (auto bad = take_mail_parameter(*parameter, context, mail, seen))
      return std::unexpected(std::move(*bad));
  }
  if (!path->is_ascii && !mail.smtputf8) return problem(553, "5.6.7", "this address needs SMTPUTF8");
  return mail;
}

Parsed parse_rcpt(std::string_view arguments, const CommandContext& context) {
  auto rest = after_keyword(arguments, "TO:");
  if (!rest) return problem(501, "5.5.2", "syntax: RCPT TO:<address> [parameters]");
  if (rest->starts_with(' ')) return problem(501, "5.5.2", "no blank may stand after the colon");
  auto path = parse_path(*rest, Utf8::allowed);
  if (!path) return problem(501, "5.1.3", path.error());
  if (path->mailbox.empty()) return problem(501, "5.1.3", "a recipient cannot be empty");
  rest->remove_prefix(path->octets);
  if (!rest->empty() && !rest->starts_with(' '))
    return problem(501, "5.5.2", "a blank must stand after the address");
  if (!path->is_ascii && !context.smtputf8) return problem(553, "5.6.7", "this address needs SMTPUTF8");
  RcptTo rcpt;
  rcpt.recipient.address = path->mailbox;
  unsigned seen = 0;
  for (auto parameters = trimmed(*rest); !parameters.empty(); parameters = trimmed(parameters)) {
    rcpt.has_parameters = true;
    auto parameter = take_parameter(parameters);
    if (!parameter) return problem(501, "5.5.4", "bad parameter syntax");
    if (auto bad = take_rcpt_parameter(*parameter, context, rcpt, seen))
      return std::unexpected(std::move(*bad));
  }
  return rcpt;
}

Parsed parse_bdat(std::string_view arguments) {
  auto space = arguments.find(' ');
  auto octets = parse_number(arguments.substr(0, space));
  if (!octets) {
    CommandProblem bad{
        {501, "5.5.4",
         "syntax: BDAT octets [LAST]; without the size the rest cannot be understood, closing"}};
    bad.must_close = true;
    return std::unexpected(std::move(bad));
  }
  auto marker = space == std::string_view::npos ? std::string_view{} : trimmed(arguments.substr(space));
  if (!marker.empty() && !equals_ignoring_case(marker, "LAST"))
    return std::unexpected(CommandProblem{{501, "5.5.4", "syntax: BDAT octets [LAST]"}, *octets});
  return Bdat{*octets, !marker.empty()};
}

Parsed parse_hello(std::string_view arguments, bool is_extended) {
  if (arguments.empty())
    return problem(501, "5.5.4", is_extended ? "syntax: EHLO name" : "syntax: HELO name");
  if (!is_hello_name(arguments)) return problem(501, "5.5.4", "not a domain and not an address literal");
  return Hello{is_extended, std::string(arguments)};
}

/// AUTH mechanism [initial response]; "=" is an empty one (RFC 4954 section 4).
Parsed parse_auth(std::string_view arguments) {
  const auto space = arguments.find(' ');
  Auth auth;
  for (char c : arguments.substr(0, space)) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
      return problem(501, "5.5.4", "not the name of a mechanism");
    auth.mechanism += c;
  }
  if (auth.mechanism.empty() || auth.mechanism.size() > 20)
    return problem(501, "5.5.4", "syntax: AUTH mechanism [initial response]");
  if (space == std::string_view::npos) return auth;
  const auto initial = arguments.substr(space + 1);
  auth.initial = initial == "=" ? std::string() : decode_base64(initial);
  if (!auth.initial || initial.empty()) return problem(501, "5.5.2", "the initial response is not base 64");
  return auth;
}

Parsed without_arguments(std::string_view arguments, Command command) {
  if (!arguments.empty()) return problem(501, "5.5.4", "this command takes no argument");
  return command;
}

bool is_one_of(std::string_view verb, std::initializer_list<std::string_view> names) {
  return std::ranges::any_of(names, [&](auto name) { return equals_ignoring_case(verb, name); });
}

}  // namespace

Parsed parse_command(std::string_view line, const CommandContext& context) {
  while (line.ends_with(' ') || line.ends_with('\t')) line.remove_suffix(1);
  const auto space = line.find(' ');
  const auto verb = line.substr(0, space);
  const auto arguments = space == std::string_view::npos ? std::string_view{} : line.substr(space + 1);
  auto is = [&](std::string_view name) { return equals_ignoring_case(verb, name); };

  if (std::ranges::any_of(line, is_control)) {
    CommandProblem bad{{500, "5.5.2", "control character in a command"}};
    bad.must_close = is("BDAT");  // the size of what follows cannot be trusted
    return std::unexpected(std::move(bad));
  }
  if (is("MAIL")) return parse_mail(arguments, context);
  if (is("RCPT")) return parse_rcpt(arguments, context);
  if (is("BDAT")) return parse_bdat(arguments);
  if (!is_ascii(line) && !is("VRFY")) return problem(500, "5.5.2", "octet above 127 in a command");
  if (is("DATA")) return without_arguments(arguments, Data{});
  if (is("RSET")) return without_arguments(arguments, Rset{});
  if (is("QUIT")) return without_arguments(arguments, Quit{});
  if (is("AUTH")) return parse_auth(arguments);
  if (is("STARTTLS")) return without_arguments(arguments, StartTls{});
  if (is("EHLO")) return parse_hello(arguments, true);
  if (is("HELO")) return parse_hello(arguments, false);
  if (is("XCLIENT") && context.xclient) {
    auto said = parse_xclient(arguments);
    if (!said) return std::unexpected(CommandProblem{said.error()});
    return *std::move(said);
  }
  if (is("NOOP")) return Noop{};
  if (is("HELP")) return Help{};
  if (is("VRFY")) {
    if (arguments.empty()) return problem(501, "5.5.4", "syntax: VRFY text");
    return Vrfy{};
  }
  if (is_one_of(verb, {"EXPN", "ETRN", "ATRN", "TURN", "SEND", "SOML", "SAML", "XCLIENT", "XFORWARD"}))
    return problem(502, "5.5.1", "command not offered here");
  // A browser can be made to talk to port 25; what follows its request line must not be read as commands.
  if (is_one_of(verb, {"GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "CONNECT"})) {
    CommandProblem bad{{421, "4.7.0", "this is SMTP, not HTTP"}};
    bad.must_close = true;
    return std::unexpected(std::move(bad));
  }
  return problem(500, "5.5.2", "command not recognised");
}

}  // namespace umbra::smtp
