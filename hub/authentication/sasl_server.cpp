#include "hub/authentication/sasl_server.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "base/result.h"
#include "smtp/base64.h"

namespace umbra::hub {
namespace {

std::string text_of(const char* value) {
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

SaslServer::SaslServer(std::string mechanism, std::shared_ptr<const PasswordFile> users)
    : mechanism_(std::move(mechanism)), users_(std::move(users)) {
  Gsasl* library = nullptr;
  UMBRA_ASSERT(gsasl_init(&library) == GSASL_OK);
  library_.reset(library);
  gsasl_callback_set(library, call_back);
  Gsasl_session* session = nullptr;
  UMBRA_ASSERT(gsasl_server_start(library, mechanism_.c_str(), &session) == GSASL_OK);
  session_.reset(session);
  gsasl_session_hook_set(session, this);
}

SaslServer::~SaslServer() {
  OPENSSL_cleanse(password_.data(), password_.size());
}

int SaslServer::call_back(Gsasl*, Gsasl_session* session, Gsasl_property property) {
  return static_cast<SaslServer*>(gsasl_session_hook_get(session))->give(property);
}

int SaslServer::give(Gsasl_property property) {
  auto* session = session_.get();
  if (property == GSASL_VALIDATE_SIMPLE) {
    user_ = text_of(gsasl_property_fast(session, GSASL_AUTHID));
    authorization_ = text_of(gsasl_property_fast(session, GSASL_AUTHZID));
    password_ = text_of(gsasl_property_fast(session, GSASL_PASSWORD));
    return GSASL_OK;  // the caller decides
  }
  if (property != GSASL_SCRAM_ITER && property != GSASL_SCRAM_SALT && property != GSASL_SCRAM_STOREDKEY &&
      property != GSASL_SCRAM_SERVERKEY)
    return GSASL_NO_CALLBACK;
  user_ = text_of(gsasl_property_fast(session, GSASL_AUTHID));
  authorization_ = text_of(gsasl_property_fast(session, GSASL_AUTHZID));
  const auto keys = users_->scram_of(user_);
  gsasl_property_set(session, GSASL_SCRAM_ITER, std::to_string(keys.iterations).c_str());
  gsasl_property_set(session, GSASL_SCRAM_SALT, smtp::encode_base64(keys.salt).c_str());
  gsasl_property_set(session, GSASL_SCRAM_STOREDKEY, smtp::encode_base64(keys.stored_key).c_str());
  gsasl_property_set(session, GSASL_SCRAM_SERVERKEY, smtp::encode_base64(keys.server_key).c_str());
  return GSASL_OK;
}

SaslServer::Step SaslServer::step(const std::optional<std::string>& response) {
  if (is_proved_) return response && response->empty() ? Step::success : Step::refused;
  // A zero would end the password for a hash that sees C strings: PLAIN has exactly two, the others none.
  if (response) {
    const auto zeros = std::count(response->begin(), response->end(), '\0');
    if (zeros != (mechanism_ == "PLAIN" ? 2 : 0)) return Step::refused;
  }
  if (mechanism_ == "LOGIN") {
    // LOGIN has no initial response, but clients send one: it answers the first challenge.
    auto made = challenges_ == 0 ? step_once({}) : Step::challenge;
    if (response && made == Step::challenge) made = step_once(*response);
    // What these challenges say means nothing, and some clients look for this wording.
    if (made == Step::challenge) challenge_ = challenges_ == 1 ? "Username:" : "Password:";
    return made;
  }
  return step_once(response ? std::string_view(*response) : std::string_view());
}

SaslServer::Step SaslServer::step_once(std::string_view response) {
  char* output = nullptr;
  std::size_t octets = 0;
  int result = gsasl_step(session_.get(), response.data(), response.size(), &output, &octets);
  challenge_.assign(output == nullptr ? "" : output, octets);
  gsasl_free(output);
  if (result == GSASL_NEEDS_MORE) {
    ++challenges_;
    return Step::challenge;
  }
  if (result != GSASL_OK) return Step::refused;
  if (!authorization_.empty() && authorization_ != user_) return Step::refused;  // nobody acts for another
  if (mechanism_ != "SCRAM-SHA-256") return Step::check_password;
  if (users_->find(user_) == nullptr) return Step::refused;
  if (challenge_.empty()) return Step::success;
  is_proved_ = true;
  return Step::challenge;
}

}  // namespace umbra::hub
