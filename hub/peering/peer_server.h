// Where other hubs connect: listens on the cluster's address, proves and checks proofs, then speaks XSHADOW
// and hands the commands to ShadowKeeper. Replies keep the order of the commands, whatever finishes first.
#pragma once

#include <functional>
#include <list>
#include <memory>

#include "hub/peering/configuration_watch.h"
#include "hub/peering/departures.h"
#include "hub/peering/hand_receiver.h"
#include "hub/peering/open_queries.h"
#include "hub/peering/ownership.h"
#include "hub/peering/rehomer.h"
#include "hub/peering/shadow_keeper.h"

namespace umbra::hub {

class PeerServer {
 public:
  PeerServer(Runtime runtime, const Config& config, Members& members, Ownership& ownership,
             ShadowKeeper& keeper, HandReceiver& receiver, Rehomer& rehomer,
             ConfigurationWatch& configurations, Departures& departures, EventLog& log, Metrics& metrics);
  ~PeerServer();

  /// Binds the address. Who connects waits until start().
  Result<void> listen();
  /// Begins to answer: once it is known what is remembered of the others, since every hello is judged by
  /// that.
  void start();
  Task<void> stop();
  /// Called before a question of another hub about these messages is answered.
  void on_asked(std::function<void(const std::string& hub, const std::vector<MessageId>& ids)> callback) {
    asked_ = std::move(callback);
  }
  /// Answers what an operator asks another hub. Before start().
  void on_query(QueryAnswerer answerer) { answerer_ = std::move(answerer); }

 private:
  class Session;
  Task<void> note_state(ShadowKeeper::Peer peer, smtp::HubState state, Duration back_within,
                        ReplySlotPtr slot);
  Task<void> note_departures(std::vector<smtp::KnownEpoch> gone, ReplySlotPtr slot);
  Task<void> note_ended(std::vector<smtp::KnownEpoch> over, ReplySlotPtr slot);
  Task<void> accept_loop();
  Task<void> serve(std::list<std::unique_ptr<Session>>::iterator at);
  /// XVOTE and XEPOCHS take a commit or a look at the spool.
  Task<void> answer_vote(std::string asker, std::optional<smtp::VoteQuestion> question, ReplySlotPtr slot);

  Runtime runtime_;
  const Config& config_;
  Members& members_;
  Ownership& ownership_;
  ShadowKeeper& keeper_;
  HandReceiver& receiver_;
  Rehomer& rehomer_;
  ConfigurationWatch& configurations_;
  Departures& departures_;
  EventLog& log_;
  Metrics& metrics_;
  TaskScope tasks_;
  Timer pause_;
  std::unique_ptr<Acceptor> acceptor_;
  std::list<std::unique_ptr<Session>> sessions_;
  MonotonicTime untrusted_logged_ = MonotonicTime::min();
  std::function<void(const std::string& hub, const std::vector<MessageId>& ids)> asked_ = [](const auto&,
                                                                                             const auto&) {};
  QueryAnswerer answerer_;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
