#include "hub/authentication/password_authenticator.h"

#include <openssl/crypto.h>

#include "hub/authentication/sasl_server.h"

namespace umbra::hub {
namespace {

class Exchange final : public AuthExchange {
 public:
  Exchange(PasswordLane& lane, std::shared_ptr<const PasswordFile> users, std::string mechanism)
      : lane_(lane), users_(users), server_(std::move(mechanism), std::move(users)) {}

  Task<AuthStep> step(std::optional<std::string> response) override {
    const auto made = server_.step(response);
    if (response) OPENSSL_cleanse(response->data(), response->size());
    switch (made) {
      case SaslServer::Step::challenge:
        co_return AuthStep{AuthStep::Kind::challenge, server_.challenge(), {}, {}};
      case SaslServer::Step::success:
        co_return AuthStep{AuthStep::Kind::success, {}, server_.user(), {}};
      case SaslServer::Step::refused:
        co_return refused("what the client said proves nothing");
      case SaslServer::Step::check_password:
        break;
    }
    const bool is_there = users_->find(server_.user()) != nullptr;
    auto checked = co_await lane_.run<bool>(
        [users = users_, user = server_.user(), password = server_.take_password()]() mutable {
          const auto* entry = users->find(user);
          const bool is_right = is_password_of(entry != nullptr ? *entry : users->decoy(user), password);
          OPENSSL_cleanse(password.data(), password.size());
          return is_right && entry != nullptr;
        });
    if (!checked)
      co_return AuthStep{AuthStep::Kind::unavailable, {}, {}, "too many passwords wait to be checked"};
    if (*checked) co_return AuthStep{AuthStep::Kind::success, {}, server_.user(), {}};
    co_return refused(is_there ? "wrong password" : "no such user");
  }

 private:
  AuthStep refused(std::string reason) const {
    return {AuthStep::Kind::refused,
            {},
            users_->find(server_.user()) != nullptr ? server_.user() : std::string(),
            std::move(reason)};
  }

  PasswordLane& lane_;
  const std::shared_ptr<const PasswordFile> users_;
  SaslServer server_;
};

}  // namespace

std::unique_ptr<AuthExchange> PasswordAuthenticator::begin(std::string_view mechanism, AuthClient) {
  return std::make_unique<Exchange>(lane_, users_, std::string(mechanism));
}

}  // namespace umbra::hub
