#include "smtp/milter/conversation.h"

#include <utility>

#include "base/result.h"
#include "smtp/address.h"

namespace umbra::milter {
namespace {

constexpr std::uint32_t protocol_offered = (leading_space << 1U) - 1 - rejected_recipients;

void put_text(std::string& out, std::string_view text) {
  out.append(text.substr(0, text.find('\0')));
  out.push_back('\0');
}

void put_macro(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  put_text(out, name);
  put_text(out, value);
}

}  // namespace

Conversation::Conversation(Channel& channel, Facts facts, std::uint32_t actions)
    : channel_(channel),
      facts_(std::move(facts)),
      offered_(actions),
      step_(channel.is_negotiated() ? Step::sender : Step::negotiate) {
  UMBRA_ASSERT(!channel.is_negotiated() || channel.is_reusable());
}

Conversation::Stage Conversation::stage() const {
  switch (step_) {
    case Step::negotiate:
      return Stage::negotiation;
    case Step::header:
    case Step::end_of_header:
    case Step::body:
      return Stage::content;
    case Step::end_of_body:
    case Step::over:
      return Stage::end;
    default:
      return Stage::command;
  }
}

std::string_view Conversation::stage_name() const {
  switch (step_) {
    case Step::negotiate:
      return "negotiation";
    case Step::connect:
      return "connect";
    case Step::hello:
      return "HELO";
    case Step::sender:
      return "MAIL";
    case Step::recipient:
      return "RCPT";
    case Step::data:
      return "DATA";
    case Step::header:
      return "header";
    case Step::end_of_header:
      return "end of header";
    case Step::body:
      return "body";
    case Step::end_of_body:
    case Step::over:
      break;
  }
  return "end of message";
}

Conversation::Want Conversation::next() {
  while (step_ != Step::over) {
    if (has_replacement_) {
      has_replacement_ = false;
      return Want::replacement;
    }
    if (is_waiting_) {
      auto packet = channel_.reader_.next();
      if (!packet) {
        if (!channel_.reader_.is_malformed()) return Want::input;
        fail("an answer of an impossible length");
        break;
      }
      take(std::move(*packet));
      continue;
    }
    if (step_ == Step::body) {
      if (wants(no_body)) return Want::body;
      advance();
      continue;
    }
    is_waiting_ = say();
    if (!is_waiting_) advance();
  }
  return Want::over;
}

void Conversation::body(std::string_view piece) {
  UMBRA_ASSERT(step_ == Step::body && !is_waiting_);
  if (piece.empty()) {
    advance();
    return;
  }
  put_packet(output_, Command::body, piece);
  is_waiting_ = wants(silent_body);
}

void Conversation::macros(Command command, std::string_view values) {
  if (values.empty()) return;
  std::string data(1, static_cast<char>(command));
  data.append(values);
  put_packet(output_, Command::macros, data);
}

bool Conversation::command(Command command, std::string_view data, std::uint32_t unwanted,
                           std::uint32_t silent) {
  if (!wants(unwanted)) return false;
  put_packet(output_, command, data.substr(0, data_octets_max));
  return silent == 0 || wants(silent);
}

bool Conversation::say() {
  const auto& envelope = facts_.envelope;
  std::string values;
  std::string data;
  switch (step_) {
    case Step::negotiate:
      put_u32(data, version_highest);
      put_u32(data, offered_);
      put_u32(data, protocol_offered);
      put_packet(output_, Command::negotiate, data);
      return true;
    case Step::connect: {
      put_macro(values, "j", facts_.host_name);
      put_macro(values, "{daemon_name}", facts_.listener);
      put_macro(values, "v", "Umbra");
      put_macro(values, "{client_addr}", facts_.client_address);
      put_macro(values, "{client_name}", facts_.client_name);
      macros(Command::connect, values);
      const bool is_ipv6 = facts_.client_address.contains(':');
      put_text(data, facts_.client_name);
      if (facts_.client_address.empty()) {
        data.push_back('U');
      } else {
        data.push_back(is_ipv6 ? '6' : '4');
        data.append(2, '\0');  // the port, which is not known any more
        put_text(data, (is_ipv6 ? "IPv6:" : "") + facts_.client_address);
      }
      return command(Command::connect, data, no_connect, silent_connect);
    }
    case Step::hello:
      if (envelope.client_helo.empty()) return false;
      put_text(data, envelope.client_helo);
      return command(Command::hello, data, no_hello, silent_hello);
    case Step::sender:
      put_macro(values, "i", facts_.id);
      put_macro(values, "{mail_addr}", envelope.sender);
      macros(Command::sender, values);
      put_text(data, "<" + envelope.sender + ">");
      put_text(data, "SIZE=" + std::to_string(facts_.octets));
      if (envelope.body_8bit) put_text(data, "BODY=8BITMIME");
      if (envelope.smtputf8) put_text(data, "SMTPUTF8");
      return command(Command::sender, data, no_sender, silent_sender);
    case Step::recipient: {
      if (index_ >= envelope.recipients.size()) return false;
      const auto& recipient = envelope.recipients[index_];
      put_macro(values, "{rcpt_addr}", recipient.address);
      if (wants(no_recipient)) macros(Command::recipient, values);
      put_text(data, "<" + recipient.address + ">");
      return command(Command::recipient, data, no_recipient, silent_recipient);
    }
    case Step::data:
      if (channel_.version_ < 4) return false;
      put_macro(values, "i", facts_.id);
      macros(Command::data, values);
      return command(Command::data, {}, no_data, silent_data);
    case Step::header: {
      if (index_ >= facts_.header.fields().size()) return false;
      const auto& field = facts_.header.fields()[index_];
      if (field.name_octets == 0) return false;
      put_text(data, field.name());
      // Longer than a filter can take: it sees the beginning.
      put_text(
          data,
          std::string_view(field.value(has_leading_space())).substr(0, data_octets_max - data.size() - 1));
      return command(Command::header, data, no_header, silent_header);
    }
    case Step::end_of_header:
      return command(Command::end_of_header, {}, no_end_of_header, silent_end_of_header);
    case Step::end_of_body:
      put_macro(values, "i", facts_.id);
      macros(Command::end_of_body, values);
      put_packet(output_, Command::end_of_body, {});
      return true;
    case Step::body:
    case Step::over:
      break;
  }
  return false;
}

/// The present step, or one of its recipients or headers, has been said and answered.
void Conversation::advance() {
  if (step_ == Step::over) return;
  if (step_ == Step::recipient && ++index_ < facts_.envelope.recipients.size()) return;
  if (step_ == Step::header && ++index_ < facts_.header.fields().size()) return;
  index_ = 0;
  step_ = static_cast<Step>(std::to_underlying(step_) + 1);
}

void Conversation::take(Packet packet) {
  if (step_ == Step::negotiate) return take_negotiation(packet);
  auto answer = parse_answer(std::move(packet));
  if (!answer) return fail(answer.error());
  using Kind = Answer::Kind;
  switch (answer->kind) {
    case Kind::progress:
      return;
    case Kind::proceed:
      is_waiting_ = false;
      if (step_ == Step::end_of_body) return end(Verdict::pass);
      if (step_ != Step::body) advance();
      return;
    case Kind::accept:
      return end(Verdict::pass);
    case Kind::refuse:
      outcome_.reply = std::move(answer->reply);
      return end(Verdict::refuse);
    case Kind::discard:
      return end(Verdict::discard);
    case Kind::failed:
      return fail("it says that it cannot");
    case Kind::skip:
      if (step_ != Step::body || (channel_.protocol_ & may_skip_body) == 0)
        return fail("\"skip\" outside of a body");
      is_waiting_ = false;
      return advance();
    case Kind::replace_body:
      if (step_ != Step::end_of_body) return fail("a change before the end of the message");
      if ((channel_.actions_ & action_change_body) == 0) return fail("a change that it has not asked for");
      outcome_.has_new_body = true;
      replacement_ = std::move(answer->body);
      has_replacement_ = true;
      return;
    case Kind::edit:
      return take_edit(std::move(answer->edit));
  }
}

void Conversation::take_negotiation(const Packet& packet) {
  DataReader in(packet.data);
  const auto version = in.u32();
  const auto actions = in.u32();
  const auto protocol = in.u32();
  // Behind it may stand which macros it wants; it gets what there is.
  if (packet.letter != static_cast<char>(Command::negotiate) || !in.ok())
    return fail("no answer to the negotiation");
  if (version < version_lowest || version > version_highest)
    return fail("version " + std::to_string(version) + " of the protocol");
  if ((protocol & ~(protocol_offered | rejected_recipients)) != 0)
    return fail("stages that were not offered");
  channel_.version_ = version;
  // Some ask for all there are, whatever is offered; what was not offered is refused when it comes.
  channel_.actions_ = actions & offered_;
  channel_.protocol_ = protocol;
  is_waiting_ = false;
  advance();
}

void Conversation::take_edit(Edit edit) {
  if (step_ != Step::end_of_body) return fail("a change before the end of the message");
  if ((channel_.actions_ & action_for(edit.kind)) == 0) return fail("a change that it has not asked for");
  edit_octets_ += edit.name.size() + edit.value.size() + edit.recipient.address.size() + edit.sender.size();
  if (outcome_.edits.size() >= edits_max || edit_octets_ > edit_octets_max) return fail("too many changes");
  outcome_.edits.push_back(std::move(edit));
}

void Conversation::fail(std::string problem) {
  outcome_ = {.verdict = Verdict::failed, .problem = std::move(problem)};
  channel_.is_reusable_ = false;
  step_ = Step::over;
}

void Conversation::end(Verdict verdict) {
  outcome_.verdict = verdict;
  if (verdict != Verdict::pass) {
    outcome_.edits.clear();
    outcome_.has_new_body = false;
  }
  is_waiting_ = false;
  // A verdict about the client holds for whatever it sends, so nothing can follow; else the next message may.
  channel_.is_reusable_ = step_ >= Step::sender;
  if (!channel_.is_reusable_)
    put_packet(output_, Command::quit, {});
  else if (step_ != Step::end_of_body)
    put_packet(output_, Command::abort, {});
  step_ = Step::over;
}

}  // namespace umbra::milter
