#include "hub/authentication/authenticators.h"

#include "base/result.h"
#include "hub/authentication/password_authenticator.h"

namespace umbra::hub {

std::shared_ptr<Authenticator> Authenticators::of(const ListenerAuthenticationConfig& config) {
  if (config.mode == ListenerAuthenticationConfig::Mode::off) return nullptr;
  if (!config.dovecot.empty()) return dovecot(config.dovecot);
  auto users = PasswordFile::parse(config.passwords);
  UMBRA_ASSERT(users);  // the configuration was checked
  return std::make_shared<PasswordAuthenticator>(lane_,
                                                 std::make_shared<const PasswordFile>(std::move(*users)));
}

/// Kept to the end of the hub, also when a reload names another one: a connection more, and one line in the
/// log when it is lost.
std::shared_ptr<DovecotAuthenticator> Authenticators::dovecot(const std::string& path) {
  if (auto found = dovecots_.find(path); found != dovecots_.end()) return found->second;
  auto made = std::make_shared<DovecotAuthenticator>(
      io_, scope_, path,
      [this, path](MonotonicTime deadline) { return network_.connect_local(path, deadline); }, log_);
  dovecots_.emplace(path, made);
  if (!is_closed_) made->start();
  return made;
}

void Authenticators::close() {
  is_closed_ = true;
  for (auto& [path, dovecot] : dovecots_) dovecot->close();
}

Task<void> Authenticators::stop() {
  close();
  co_await scope_.join();
}

}  // namespace umbra::hub
