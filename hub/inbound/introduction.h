// Whose connection it is, where its other end is somebody else: a proxy that speaks the PROXY protocol, or a
// client that said XCLIENT.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "hub/net/stream.h"

namespace umbra::hub {

/// What XCLIENT said beside the address, and what of the connection stays as it is. Empty for a connection
/// that just came.
struct Introduction {
  std::string
      speaker;  ///< the address of the client that said XCLIENT: it may say it again. Empty: nobody did
  std::string helo;
  std::optional<bool> is_extended;
  std::string login;
  bool is_secured = false;
  std::string tls_cipher;
};

/// A connection under its client's address instead of the one at its other end, with octets that were read of
/// it already.
class IntroducedStream final : public Stream {
 public:
  IntroducedStream(std::unique_ptr<Stream> inner, std::string unread, Endpoint client)
      : inner_(std::move(inner)), unread_(std::move(unread)), client_(std::move(client)) {}

  Task<IoResult> read_some(asio::mutable_buffer buffer) override {
    return unread_.empty() ? inner_->read_some(buffer) : read_kept(buffer);
  }
  Task<ErrorCode> write(std::string_view octets) override { return inner_->write(octets); }
  Task<ErrorCode> writable() override { return inner_->writable(); }
  Task<void> finish() override { return inner_->finish(); }
  void close() noexcept override { inner_->close(); }
  [[nodiscard]] const Endpoint& remote() const override { return client_; }
  [[nodiscard]] Endpoint local() const override { return inner_->local(); }

  /// What it is made of; of no use afterwards.
  std::unique_ptr<Stream> take_inner() { return std::move(inner_); }
  [[nodiscard]] const std::string& unread() const { return unread_; }

 private:
  Task<IoResult> read_kept(asio::mutable_buffer buffer) {
    const auto octets = std::min(buffer.size(), unread_.size());
    std::copy_n(unread_.data(), octets, static_cast<char*>(buffer.data()));
    unread_.erase(0, octets);
    if (unread_.empty()) unread_ = {};
    co_return IoResult{{}, octets};
  }

  std::unique_ptr<Stream> inner_;
  std::string unread_;
  Endpoint client_;
};

/// `stream` under another client's address; `unread` has been read of it. However often that is done, one
/// layer is all there is.
inline std::unique_ptr<Stream> introduced(std::unique_ptr<Stream> stream, std::string unread,
                                          Endpoint client) {
  if (auto* before = dynamic_cast<IntroducedStream*>(stream.get())) {
    unread += before->unread();
    stream = before->take_inner();
  }
  return std::make_unique<IntroducedStream>(std::move(stream), std::move(unread), std::move(client));
}

}  // namespace umbra::hub
