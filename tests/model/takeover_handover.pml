/* Take-over while a hand-over is under way: two hubs may come to own one message, under the same generation or not. Hub 0 (G) owns the
 * message under generation 1, hub 2 (X) holds a copy, hub 1 (R) is who it is handed over to first.
 * Every hub does everything: hands over, takes over, makes copies, delivers, is asked, returns. docs/model.md says what is left out
 * and which function each action stands for. Run by tests/model/run, which sets:
 *
 *   MAJORITY, ARBITER   who ends the runs of silent hubs (neither: pairwise)
 *   CRASHES, LOSSES (disks), CUTS (one link), LONE (a hub is cut off from all), PAUSES (a hub stands still), HANDS, COPIES: how many of each
 *   SETTLES             that it ends, as LTL
 *   V_...               one step of the protocol done wrong: the check must then fail
 *
 * What was sent stays in the socket buffer of who is to read it (offer, copy) until that process ends, however long that takes. The
 * questions of a take-over are asked one after the other; in between anything may happen.
 */
#define HUBS 3
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef LOSSES
#define LOSSES 0
#endif
#ifndef CUTS
#define CUTS 0
#endif
#ifndef LONE
#define LONE 0
#endif
#ifndef PAUSES
#define PAUSES 0
#endif
#ifndef HANDS
#define HANDS 1
#endif
#ifndef COPIES
#define COPIES 1
#endif

#define AT(a, b) ((a) * HUBS + (b))
#define BIT(h) (1 << (h))
#define HAS(set, h) (((set) & BIT(h)) != 0)
#define WITHOUT(set, h) ((set) & (255 - BIT(h)))
#define EACH(M) M(0) M(1) M(2)
#define PAIRS(M) M(0, 1) M(1, 0) M(0, 2) M(2, 0) M(1, 2) M(2, 1)
#define LINKS(M) M(0, 1) M(0, 2) M(1, 2)
#define ANY(M, h) (M(h, 0) || M(h, 1) || M(h, 2))
#if defined(MAJORITY) || defined(ARBITER)
#define STRICT
#define IS_STRICT 1
#else
#define IS_STRICT 0
#endif

/* What a spool holds of the message. */
#define NONE 0
#define OWN 1
#define SHADOW 2
#define HANDING 3
byte row[HUBS], gen[HUBS];
byte hold[HUBS]; /* own: hubs that may have a copy; shadow: those that its owner named */
byte form[HUBS]; /* own: of these, former owners not heard of since */
byte owe[HUBS];  /* shadow: hubs that this one owes the "done" of its time as owner */
byte to[HUBS];   /* handing: the receiver */
byte own[HUBS], own_spool[HUBS], own_run[HUBS]; /* shadow: its owner; own_run: the run that offered it, 0: not known */
byte out[HUBS], out_gen[HUBS]; /* hubs that are owed the discard, under which generation */
byte sup[HUBS], sup_gen[HUBS]; /* hubs that are owed "superseded", of which generation */
byte starts[HUBS];             /* number of starts, of all spools */
byte reg[HUBS];              /* arbiter: the run of its record */
byte spool[HUBS];           /* the run with which the present spool began */
byte met[HUBS * HUBS], low[HUBS * HUBS]; /* of another hub: the run heard last; the lowest that is accepted */

/* What ends with the process. */
bit up[HUBS];
bit young[HUBS];   /* restart_grace has not passed: it takes nothing over from who is silent */
byte back[HUBS];   /* 1 asks who owns its mail, 2 gave up asking */
byte take[HUBS];   /* 1 asks everybody about its copy */
byte asked[HUBS];  /* hubs that have answered, and know nothing that keeps it from taking over */
byte relied[HUBS]; /* hubs whose run is over, which everybody is told before he is asked */
bit recover[HUBS], has_copy[HUBS];
byte buried[HUBS]; /* generation that was discarded here */

/* In the socket buffer: from whom (one more), and what. */
byte offer[HUBS], offer_gen[HUBS], offer_run[HUBS], offer_hold[HUBS];
byte copy[HUBS], copy_gen[HUBS], copy_run[HUBS], copy_hold[HUBS];
bit fresh[HUBS]; /* who offers has answered a beat within three heartbeats */

bit cut[HUBS * HUBS], lone[HUBS], paused[HUBS];
bit silent[HUBS * HUBS]; /* [holder, owner]: its promise has run out. The owner stops relying on it before */
bit ended[HUBS];         /* strict: the present run was ended by the majority or the arbiter */

byte delivered; /* stops at 3 */
bit excused;    /* an owner was lost, or ended, before its "done" was told */
bit counted;
bit apart;      /* pairwise: a lease has run out though the hub lives, or who took over could not ask a third one */
bit all_done;
byte crashes = CRASHES, losses = LOSSES, cuts = CUTS, lones = LONE, pauses = PAUSES, hands = HANDS, copies = COPIES;

hidden byte i, j, best, who, knows;

#define RUNS(a) (up[a] && !paused[a])
#define REACH(a, b) (RUNS(a) && RUNS(b) && !lone[a] && !lone[b] && !cut[AT(a, b)])
#define HEARS(a, b) (met[AT(a, b)] == starts[b] && low[AT(a, b)] <= starts[b])
#define TALK(a, b) (REACH(a, b) && HEARS(a, b) && HEARS(b, a))
#if defined(ARBITER) && !defined(V_LATER_RECORD_IS_PASSED_OVER)
#define LATER_RUN_IS_KNOWN(h, o) (reg[o] >= low[AT(h, o)])
#else
#define LATER_RUN_IS_KNOWN(h, o) 0
#endif
#define OUT(h, o) (met[AT(h, o)] < low[AT(h, o)] && !LATER_RUN_IS_KNOWN(h, o)) /* its run is over for h, and no later one was heard */
#define REPLACED(h, o) (own_spool[h] != spool[o] && met[AT(h, o)] >= spool[o])

/* --- runs */

inline end_run(h) {
  back[h] = 0; take[h] = 0; asked[h] = 0; relied[h] = 0; recover[h] = 0; buried[h] = 0;
  offer[h] = 0; offer_gen[h] = 0; offer_run[h] = 0; offer_hold[h] = 0; fresh[h] = 0; young[h] = 0;
  copy[h] = 0; copy_gen[h] = 0; copy_run[h] = 0; copy_hold[h] = 0
}
#ifdef ARBITER
#define REGISTER(h) reg[h] = (lone[h] -> reg[h] : starts[h])
#else
#define REGISTER(h) skip
#endif
inline begin_run(h) {
  starts[h]++; REGISTER(h); ended[h] = 0; up[h] = 1;
  back[h] = (row[h] == OWN || row[h] == HANDING);
  i = 0;
  do :: i < HUBS -> silent[AT(h, i)] = 0; i++ :: else -> break od;
  i = 0
}
inline no_row(h) {
  row[h] = NONE; gen[h] = 0; hold[h] = 0; form[h] = 0; owe[h] = 0; to[h] = 0; own[h] = 0; own_spool[h] = 0; own_run[h] = 0;
  back[h] = 0; take[h] = 0; asked[h] = 0; relied[h] = 0; recover[h] = 0; has_copy[h] = 0
}
#ifndef V_DONE_OF_ONE_GENERATION
#define OVER(g) 99
#else
#define OVER(g) (g)
#endif
#ifdef V_OWN_END_IS_NOT_BURIED
#define BURY_OWN(h) skip
#else
#define BURY_OWN(h) if :: buried[h] < OVER(gen[h]) -> buried[h] = OVER(gen[h]) :: else fi
#endif
#define SUPERSEDED_IS_DONE(h)                                                                                      \
  if :: sup[h] != 0 -> out[h] = out[h] | sup[h]; if :: out_gen[h] < sup_gen[h] -> out_gen[h] = sup_gen[h] :: else fi; sup[h] = 0; sup_gen[h] = 0 :: else fi
inline finish(h, whom) { /* SpoolWriter::end_message */
  BURY_OWN(h);
  SUPERSEDED_IS_DONE(h);
  out[h] = out[h] | (whom);
  out_gen[h] = (out[h] == 0 -> 0 : ((whom) != 0 && out_gen[h] < gen[h] -> gen[h] : out_gen[h]));
  no_row(h)
}
inline lose_disk(h) {
  if :: out[h] != 0 -> excused = 1 :: else fi;
  no_row(h); out[h] = 0; out_gen[h] = 0; sup[h] = 0; sup_gen[h] = 0; spool[h] = starts[h] + 1;
  i = 0;
  do :: i < HUBS -> met[AT(h, i)] = 0; low[AT(h, i)] = 0; i++ :: else -> break od;
  i = 0
}

#ifdef V_STALE_ROUND
#define STALE_ROUND 0
#else
#define STALE_ROUND 1
#endif
/* Members::heard_hello, heard_beat: a run that is over is told so (554) and begins the next one. */
inline learn(b, a) {
  /* What was asked against its earlier run is asked anew. */
  if :: met[AT(b, a)] != starts[a] && take[b] == 1 && STALE_ROUND -> take[b] = 0; asked[b] = 0; relied[b] = 0; recover[b] = 0 :: else fi;
  met[AT(b, a)] = starts[a];
  if :: low[AT(b, a)] < starts[a] -> low[AT(b, a)] = starts[a] :: else fi;
  silent[AT(b, a)] = 0;
  if :: row[b] == OWN -> form[b] = WITHOUT(form[b], a) :: else fi;
  if :: offer[b] == (a) + 1 && offer_run[b] == starts[a] -> fresh[b] = 1 :: else fi
}
#define STALE_OFFER(b, a) (offer[b] == (a) + 1 && offer_run[b] == starts[a] && !fresh[b])
#define MEET(a, b)                                                                                             \
  :: atomic { REACH(a, b) && (!TALK(a, b) || silent[AT(a, b)] || silent[AT(b, a)] || STALE_OFFER(a, b) || STALE_OFFER(b, a)) -> \
     if                                                                                                        \
     :: low[AT(b, a)] > starts[a] -> end_run(a); begin_run(a)                                                      \
     :: low[AT(b, a)] <= starts[a] && low[AT(a, b)] > starts[b] -> end_run(b); begin_run(b)                            \
     :: else -> learn(a, b); learn(b, a)                                                                        \
     fi }

/* --- time */

#define MATTERS(h, o) ((row[h] == SHADOW && own[h] == o) || (row[h] == HANDING && to[h] == o))
inline offers_get_old() { /* three heartbeats are less than a lease */
  i = 0;
  do
  :: i < HUBS ->
    if
    :: offer[i] != 0 -> j = offer[i] - 1; if :: !REACH(i, j) || offer_run[i] != starts[j] -> fresh[i] = 0 :: else fi
    :: else
    fi;
    i++
  :: else -> break
  od;
  i = 0; j = 0
}
/* Pairwise: who runs reads what was sent to it within a lease; who stands still may not. */
#define HAS_UNREAD(o, y) (RUNS(y) && (offer[y] == (o) + 1 || copy[y] == (o) + 1))
#ifdef STRICT
/* A majority, or the arbiter, ends the run of a hub that none of them hears. Then h refuses it too. */
#define CANNOT_RENEW(o) (!up[o] || paused[o] || lone[o])
#ifdef MAJORITY /* of three: one more, which does not hear it either */
#define VOTES(h, o, y) ((y) != (h) && (y) != (o) && TALK(h, y) && !REACH(y, o))
#define IS_ENDED_BY(h, o) (VOTES(h, o, 0) || VOTES(h, o, 1) || VOTES(h, o, 2))
#define HEARS_ANY(h, y) ((y) != (h) && TALK(h, y))
#define HAS_LEASE(h) ANY(HEARS_ANY, h)
#else
#define IS_ENDED_BY(h, o) (ended[o] || CANNOT_RENEW(o))
#define HAS_LEASE(h) 1
#endif
#define NEEDED(h, o) (MATTERS(h, o) || (take[h] == 1 && !HAS(asked[h] | relied[h], o)) || (back[h] == 1 && row[h] != NONE))
#define RUN_OUT(h, o)                                                                                          \
  :: atomic { RUNS(h) && !lone[h] && !ended[h] && !REACH(h, o) && NEEDED(h, o) && !OUT(h, o) && IS_ENDED_BY(h, o) -> \
     if :: !ended[o] && out[o] != 0 -> excused = 1 :: else fi;                                                  \
     ended[o] = 1; low[AT(h, o)] = starts[o] + 1; offers_get_old() }
#define LEARNS_THAT_IT_ENDED(h) :: atomic { RUNS(h) && !lone[h] && ended[h] -> end_run(h); begin_run(h) }
#else
#define HAS_LEASE(h) 1
#define RUN_OUT(h, o)                                                                                          \
  :: atomic { RUNS(h) && !REACH(h, o) && MATTERS(h, o) && !silent[AT(h, o)] && !ANY(HAS_UNREAD, o) ->                                   \
     if :: out[o] != 0 -> excused = 1 :: else fi;                                                               \
     if :: up[o] -> apart = 1 :: else fi;                                                                       \
     silent[AT(h, o)] = 1; low[AT(h, o)] = (met[AT(h, o)] >= low[AT(h, o)] -> met[AT(h, o)] + 1 : low[AT(h, o)]); offers_get_old() }
#define LEARNS_THAT_IT_ENDED(h)
#endif

/* --- delivery and what follows */

#ifdef STRICT
#define MAY_DELIVER(h) (!ended[h])
#define IS_SURE(h) 1
#else
#define MAY_DELIVER(h) 1
#define BROKE(h, y) (HAS(hold[h], y) && silent[AT(y, h)] && !(HAS(form[h], y) && OUT(h, y)))
#define IS_SURE(h) (!ANY(BROKE, h) && back[h] == 0)
#endif
#define DELIVER(h)                                                                                             \
  :: atomic { RUNS(h) && row[h] == OWN && back[h] != 1 && MAY_DELIVER(h) ->                                      \
     if :: !IS_SURE(h) -> counted = 1 :: else fi;                                                               \
     assert(delivered == 0 || excused || counted || apart);                                                             \
     if :: delivered < 3 -> delivered++ :: else fi;                                                             \
     best = WITHOUT(hold[h], h); finish(h, best) }

inline follow(h, o, s, g, u) { /* the message at h becomes a shadow that it holds for o */
  row[h] = SHADOW; own[h] = o; own_spool[h] = s; gen[h] = g; own_run[h] = u; to[h] = 0; form[h] = 0; has_copy[h] = 0; back[h] = 0;
  take[h] = 0; asked[h] = 0; relied[h] = 0; recover[h] = 0
}
/* Done is a fact, whoever says it: SpoolWriter::apply_discard. */
inline is_done(b, a) {
  if
  :: row[b] == SHADOW -> best = WITHOUT(WITHOUT(owe[b], a), b); finish(b, best)
  :: row[b] == OWN || row[b] == HANDING -> best = WITHOUT(WITHOUT(hold[b], a), b); finish(b, best)
  :: row[b] == NONE -> SUPERSEDED_IS_DONE(b)
  :: else
  fi
}
#define IS_FAR(a, y) ((y) != (a) && !TALK(a, y))
#ifdef V_SUPERSEDED_IS_NOT_BURIED
#define BURY_SUPERSEDED(a, b) skip
#else
#define BURY_SUPERSEDED(a, b) if :: buried[b] < sup_gen[a] -> buried[b] = sup_gen[a] :: else fi
#endif
#ifdef V_SUPERSEDED_LEAVES_OWN
#define CEDES_OWN(a, b) 0
#else
#define CEDES_OWN(a, b) ((row[b] == OWN || row[b] == HANDING) && gen[b] < sup_gen[a])
#endif
#define PUSH(a, b)                                                                                             \
  :: atomic { HAS(out[a], b) && TALK(a, b) && (spool[b] == 1 || !ANY(IS_FAR, a)) -> is_done(b, a); \
     if :: buried[b] < OVER(out_gen[a]) -> buried[b] = OVER(out_gen[a]) :: else fi; \
     out[a] = WITHOUT(out[a], b); out_gen[a] = (out[a] == 0 -> 0 : out_gen[a]) } \
  :: atomic { HAS(sup[a], b) && TALK(a, b) ->                                                                   \
     if                                                                                                        \
     :: row[b] == SHADOW && gen[b] <= sup_gen[a] -> no_row(b)                                                    \
     :: CEDES_OWN(a, b) -> owe[b] = WITHOUT(hold[b], a); follow(b, a, spool[a], sup_gen[a] + 1, starts[a])          \
     :: else                                                                                                   \
     fi;                                                                                                       \
     BURY_SUPERSEDED(a, b); \
     sup[a] = WITHOUT(sup[a], b); sup_gen[a] = (sup[a] == 0 -> 0 : sup_gen[a]) }

/* --- hand-over: Hander::hand, HandReceiver::take, back; cluster::decide_hand_over */

#define HAND(g, r)                                                                                             \
  :: atomic { hands > 0 && row[g] == OWN && back[g] == 0 && TALK(g, r) && offer[r] == 0 && MAY_DELIVER(g) ->      \
     if :: !IS_SURE(g) -> counted = 1 :: else fi;                                                               \
     hands--; row[g] = HANDING; to[g] = r; own_spool[g] = spool[r]; has_copy[g] = 0;                                                     \
     offer[r] = (g) + 1; offer_gen[r] = gen[g] + 1; offer_run[r] = starts[g]; offer_hold[r] = hold[g]; fresh[r] = 1 }
#ifdef V_OLD_OFFER
#define IS_FRESH(r) 1
#else
#define IS_FRESH(r) fresh[r]
#endif
#define TAKES_OFFER(r) (offer_run[r] >= low[AT(r, offer[r] - 1)] && IS_FRESH(r) && \
  (row[r] == NONE || ((row[r] == SHADOW || row[r] == HANDING) && gen[r] < offer_gen[r])) && !(row[r] == NONE && out[r] != 0))
#define OFFER_COMES(r)                                                                                         \
  :: atomic { RUNS(r) && offer[r] != 0 ->                                                                        \
     if                                                                                                        \
     :: TAKES_OFFER(r) ->                                                                                       \
       best = (row[r] == SHADOW -> owe[r] : 0);                                                                 \
       if :: row[r] == HANDING -> sup[r] = sup[r] | WITHOUT(hold[r], r); sup_gen[r] = gen[r] :: else fi;          \
       no_row(r); row[r] = OWN; gen[r] = offer_gen[r]; hold[r] = WITHOUT(offer_hold[r] | BIT(offer[r] - 1) | best, r); has_copy[r] = 0 \
     :: else                                                                                                   \
     fi;                                                                                                       \
     offer[r] = 0; offer_gen[r] = 0; offer_run[r] = 0; offer_hold[r] = 0; fresh[r] = 0 }

#ifdef V_SUPERSEDED_IS_UNKNOWN
#define IS_SUPERSEDED(y) 0
#else
#define IS_SUPERSEDED(y) (row[y] == NONE && out[y] == 0 && sup[y] != 0)
#endif
#ifndef V_HELD_FOR_ITSELF
#define NAMES_ME(h, y) (row[y] == SHADOW && own[y] == (h))
#else
#define NAMES_ME(h, y) 0
#endif
#define SAYS_DONE(h, y) ((y) != (h) && TALK(h, y) && row[y] == NONE && out[y] != 0)
#define SAYS_LATER(h, y) ((y) != (h) && TALK(h, y) && (row[y] == OWN || row[y] == SHADOW) && gen[y] > gen[h] && !NAMES_ME(h, y))

inline find_later(h) { /* the latest owner that anybody in reach knows of */
  best = gen[h]; who = 255; knows = 0; j = 0; i = 0;
  do
  :: i < HUBS ->
    if
    :: i != h && TALK(h, i) && row[i] == OWN && gen[i] > best -> best = gen[i]; who = i; knows = spool[i]; j = starts[i]
    :: i != h && TALK(h, i) && row[i] == SHADOW && gen[i] > best && !NAMES_ME(h, i) -> best = gen[i]; who = own[i]; knows = own_spool[i]; j = 0
    :: else
    fi;
    i++
  :: else -> break
  od;
  i = 0
}
inline supersede(g, x) { sup[g] = sup[g] | WITHOUT(WITHOUT(hold[g], x), g); sup_gen[g] = gen[g] }
/* The receiver fell silent and may own it: who has a copy of ours keeps it, and all are owed the "done", the receiver too. */
#ifndef V_RECEIVER_IS_NOT_TOLD
#define CONCLUDE(g) owe[g] = WITHOUT(hold[g], g)
#else
#define CONCLUDE(g) supersede(g, to[g])
#endif

#define HELD_ELSEWHERE(r, g) ((hold[r] & WITHOUT(255, g)) != 0 && has_copy[r])
#ifdef STRICT
#define RECEIVER_GONE(g, r) (REPLACED(g, r) || OUT(g, r))
#else
#define RECEIVER_GONE(g, r) (REPLACED(g, r) || silent[AT(g, r)])
#endif
#define RESOLVE(g, r)                                                                                          \
  :: atomic { row[g] == HANDING && to[g] == r && own_spool[g] == spool[r] && TALK(g, r) && !(back[g] == 1 && ANY(COULD_ANSWER, g)) &&           \
     !(row[r] == HANDING && gen[r] >= gen[g]) ->                                                                \
     find_later(g);                                                                                             \
     if                                                                                                        \
     :: SAYS_DONE(g, r) || (back[g] == 1 && ANY(SAYS_DONE, g)) -> best = WITHOUT(hold[g], g); finish(g, best) \
     :: else ->                                                                                                \
       if                                                                                                      \
       :: SAYS_LATER(g, r) || (back[g] == 1 && who != 255) ->                                                   \
         if :: row[r] == OWN && gen[r] > gen[g] -> supersede(g, r) :: else -> supersede(g, who) fi;               \
         if                                                                                                    \
         :: row[r] == OWN && gen[r] == gen[g] + 1 && HELD_ELSEWHERE(r, g) && back[g] == 0 -> no_row(g)            \
         :: row[r] == OWN && gen[r] > gen[g] -> follow(g, r, spool[r], gen[r], starts[r]); has_copy[r] = 1          \
         :: else -> follow(g, who, knows, best, j)                                                              \
         fi                                                                                                    \
       :: else -> /* who says "unknown" refuses the offer from now on */                                        \
         if :: offer[r] == (g) + 1 -> offer[r] = 0; offer_gen[r] = 0; offer_run[r] = 0; offer_hold[r] = 0; fresh[r] = 0 :: else fi; \
         row[g] = OWN; to[g] = 0; own_spool[g] = 0                                                                              \
       fi                                                                                                      \
     fi }                                                                                                      \
  :: atomic { RUNS(g) && row[g] == HANDING && to[g] == r && RECEIVER_GONE(g, r) && !ended[g] ->                   \
     find_later(g);                                                                                             \
     if                                                                                                        \
     :: ANY(SAYS_DONE, g) -> best = WITHOUT(hold[g], g); finish(g, best)                                    \
     :: else ->                                                                                                \
       if :: who != 255 && !(who == r && knows == own_spool[g]) -> supersede(g, who) :: else -> CONCLUDE(g) fi; \
       if :: who != 255 -> follow(g, who, knows, best, j) :: else -> best = own_spool[g]; j = (best == spool[r] -> met[AT(g, r)] : 0); follow(g, r, best, gen[g] + 1, j) fi \
     fi }

/* --- take-over: Guardian::take_over_from, decide, must_wait_for_others, take; cluster::decide_takeover */

#ifdef STRICT
#define GONE(h, o) (REPLACED(h, o) || OUT(h, o))
#else
#define GONE(h, o) (REPLACED(h, o) || silent[AT(h, o)])
#endif
#define IS_HOLDER(h) (RUNS(h) && row[h] == SHADOW && !ended[h])
inline who_is_out(h) {
  relied[h] = 0; i = 0;
  do :: i < HUBS -> if :: i != h && OUT(h, i) -> relied[h] = relied[h] | BIT(i) :: else fi; i++ :: else -> break od;
  i = 0
}
#ifdef V_NO_FENCE
#define TELL_WHO_IS_OVER(h, y) skip
#else
#define TELL_WHO_IS_OVER(h, y) tell(h, y)
#endif
inline tell(h, y) { /* XOVER */
  i = 0;
  do
  :: i < HUBS ->
    if
    :: IS_STRICT && i != h && i != y && (HAS(relied[h], i) || i == own[h]) && low[AT(y, i)] < low[AT(h, i)] -> low[AT(y, i)] = low[AT(h, i)]
    :: else
    fi;
    i++
  :: else -> break
  od;
  i = 0
}
/* The answer: later or another owner of the same; wait; nothing. */
#ifdef V_EQUAL_IS_NO_OWNER
#define IS_SECOND(h, y) 0
#else
#define IS_SECOND(h, y) (row[y] == OWN && gen[y] == gen[h] && !((y) == own[h] && spool[y] == own_spool[h]))
#endif
#ifndef V_COPY_IS_GIVEN_UP
#define IS_LATER(h, y) (row[y] == OWN && gen[y] > gen[h])
#else
#define IS_LATER(h, y) ((row[y] == OWN || row[y] == SHADOW) && gen[y] > gen[h])
#endif
#ifndef V_COPY_IS_GIVEN_UP
#define IS_HELD(h, y) (row[y] == SHADOW && gen[y] > gen[h])
#else
#define IS_HELD(h, y) 0
#endif
#define SAME_OWNER(h, y) (own[y] == own[h] && own_spool[y] == own_spool[h])
#define IS_OWNER(h, y) ((y) == own[h] && spool[y] == own_spool[h])
#define GAVE_WAY_TOO(h, y) (row[own[y]] == SHADOW && gen[own[y]] == gen[h] && TALK(h, own[y]))
#define IS_FIRST(h, y) (row[y] == SHADOW && gen[y] == gen[h] && ((IS_OWNER(h, y) && own[y] != (h) && !GAVE_WAY_TOO(h, y)) || \
  ((SAME_OWNER(h, y) || IS_OWNER(h, y)) && (y) < (h))))
/* "Pending": whoever gave an earlier generation away says nothing of this one. */
#define IS_PENDING(h, y) ((row[y] == HANDING && gen[y] >= gen[h]) || (IS_SUPERSEDED(y) && sup_gen[y] >= gen[h]))
#ifndef V_EARLIER_OWNER_IS_TAKEN_FROM
#define IS_EARLIER_OWNER(h, y) (row[y] == OWN && gen[y] < gen[h] && !IS_OWNER(h, y))
#else
#define IS_EARLIER_OWNER(h, y) 0
#endif
#define SAYS_WAIT(h, y) (IS_PENDING(h, y) || IS_HELD(h, y) || IS_FIRST(h, y) || IS_EARLIER_OWNER(h, y))
/* SpoolWriter::follow_owner, ShadowKeeper::note_asker. The copy stays, for the owner that says itself that it is: it may have no other yet.
   What only others say of it may be concluded. */
inline let_go(h, y) {
#ifndef V_COPY_IS_GIVEN_UP
  hold[y] = hold[y] | BIT(h);
  best = owe[h]; follow(h, y, spool[y], gen[y], starts[y]); owe[h] = best
#else
  if
  :: row[y] == OWN -> who = y; knows = spool[y]; j = starts[y]
  :: else -> who = own[y]; knows = own_spool[y]; j = 0
  fi;
  if
  :: WITHOUT(WITHOUT(owe[h], who), h) == 0 -> no_row(h)
  :: else -> best = owe[h]; follow(h, who, knows, gen[y], j); owe[h] = best
  fi;
  j = 0
#endif
}
#ifdef V_BACK_IS_NOT_TOLD
#define KNOWS_BACK(h, y) 0
#else
#define KNOWS_BACK_OF(h, y, z) ((z) != (h) && (z) != (y) && HAS(relied[h], z) && met[AT(y, z)] >= low[AT(h, z)])
#define KNOWS_BACK(h, y) (IS_STRICT && (KNOWS_BACK_OF(h, y, 0) || KNOWS_BACK_OF(h, y, 1) || KNOWS_BACK_OF(h, y, 2)))
#endif
#ifndef V_OLD_ANSWER_COUNTS
#define ANSWER_IS_VOID(h, y) asked[y] = WITHOUT(asked[y], h)
#else
#define ANSWER_IS_VOID(h, y) skip
#endif
#define ASK(h, y)                                                                                              \
  :: atomic { IS_HOLDER(h) && take[h] == 1 && !HAS(relied[h] | asked[h], y) && TALK(h, y) && !SAYS_WAIT(h, y) && !KNOWS_BACK(h, y) -> \
     TELL_WHO_IS_OVER(h, y); ANSWER_IS_VOID(h, y);                                                                                    \
     if                                                                                                        \
     :: row[y] == NONE && out[y] != 0 -> is_done(h, y)                                                          \
     :: IS_LATER(h, y) || IS_SECOND(h, y) -> let_go(h, y)                                                       \
     :: else ->                                                                                                \
       asked[h] = asked[h] | BIT(y);                                                                            \
       if :: row[y] != NONE -> hold[h] = hold[h] | BIT(y) :: else fi                                              \
     fi }

/* Who owns the message notes who asks about a copy of it: it is owed the "done". */
#define NOTES_ASKER(h, y)                                                                                      \
  :: atomic { TALK(h, y) && !HAS(hold[y], h) && ((IS_HOLDER(h) && take[h] == 1 && !HAS(relied[h] | asked[h], y) && IS_EARLIER_OWNER(h, y)) || \
     (row[h] == OWN && back[h] != 0 && row[y] == OWN && !ended[h])) -> hold[y] = hold[y] | BIT(h) }

#ifdef V_NAMED_ONLY
#define MUST_ANSWER(h, y) (HAS(hold[h], y))
#else
#define MUST_ANSWER(h, y) 1
#endif
#ifdef STRICT
#define MISSING(h, y) ((y) != (h) && MUST_ANSWER(h, y) && !HAS(asked[h], y) && !(HAS(relied[h], y) && OUT(h, y)))
#else
#ifndef V_RECOVERS_UNASKED
#define RECOVERS_FROM(h, y) (recover[h] && own[h] == (y))
#else
#define RECOVERS_FROM(h, y) 0
#endif
#define MISSING(h, y) ((y) != (h) && !HAS(asked[h], y) && (REACH(h, y) || RECOVERS_FROM(h, y)))
#endif
#define NEWLY_OUT(h, y) ((y) != (h) && !HAS(relied[h] | asked[h], y) && OUT(h, y))
#define IS_BACK(h, y) ((y) != (h) && HAS(relied[h], y) && !OUT(h, y))
#ifdef V_OUT_IS_NOT_OWED
#define OWED(h) 0
#else
#define OWED(h) (IS_STRICT -> relied[h] : 0)
#endif
#define NOT_ASKED(h, y) (!IS_STRICT && (y) != (h) && (y) != own[h] && !REACH(h, y))
inline make_own(h) {
  if :: ANY(NOT_ASKED, h) -> apart = 1 :: else fi;
  gen[h]++; row[h] = OWN;
  hold[h] = WITHOUT(hold[h] | owe[h] | OWED(h), h); owe[h] = 0;
  if :: !recover[h] -> hold[h] = hold[h] | BIT(own[h]); form[h] = (OUT(h, own[h]) -> BIT(own[h]) : 0) :: else -> form[h] = 0 fi;
  own[h] = 0; own_spool[h] = 0; own_run[h] = 0; take[h] = 0; asked[h] = 0; relied[h] = 0; recover[h] = 0; back[h] = 0; has_copy[h] = 0
}
#define TAKEOVER(h, o)                                                                                         \
  :: atomic { IS_HOLDER(h) && own[h] == o && take[h] == 0 && GONE(h, o) && (!young[h] || REPLACED(h, o)) && (IS_STRICT || !ANY(HAS_UNREAD, o)) -> take[h] = 1; asked[h] = 0; who_is_out(h) } \
  :: atomic { IS_HOLDER(h) && own[h] == o && take[h] == 1 && IS_STRICT && (ANY(NEWLY_OUT, h) || ANY(IS_BACK, h)) -> asked[h] = 0; who_is_out(h) } \
  :: atomic { RUNS(h) && row[h] == SHADOW && own[h] == o && take[h] == 1 && !recover[h] && !GONE(h, o) -> take[h] = 0; asked[h] = 0; relied[h] = 0 } \
  :: atomic { IS_HOLDER(h) && own[h] == o && take[h] == 1 && (recover[h] || GONE(h, o)) && HAS_LEASE(h) && !ANY(MISSING, h) -> make_own(h) }

#define OWNER_GONE(h, o) \
  :: atomic { !IS_STRICT && IS_HOLDER(h) && own[h] == o && take[h] == 1 && recover[h] && GONE(h, o) -> take[h] = 0; recover[h] = 0; asked[h] = 0; relied[h] = 0 }

/* A copy that nobody speaks of: Guardian::audit; cluster::decide_audit. */
#define AUDIT(h, o)                                                                                            \
  :: atomic { IS_HOLDER(h) && own[h] == o && take[h] == 0 && TALK(h, o) && own_spool[h] == spool[o] &&            \
     row[o] == NONE && (out[o] != 0 || (sup[o] == 0 && own_run[h] == starts[o])) ->                                                  \
     if :: out[o] != 0 -> is_done(h, o) :: else -> best = WITHOUT(owe[h], h); finish(h, best) fi } \
  :: atomic { IS_HOLDER(h) && own[h] == o && take[h] == 0 && TALK(h, o) && own_spool[h] == spool[o] &&            \
     ((row[o] == NONE && out[o] == 0 && sup[o] == 0 && own_run[h] != starts[o]) || row[o] == SHADOW || (row[o] == OWN && gen[o] < gen[h])) -> \
     recover[h] = 1; take[h] = 1; asked[h] = 0; who_is_out(h) }

/* --- return: Guardian::return_home, settle_returned; cluster::decide_return */

#define COULD_ANSWER(h, y) ((y) != (h) && REACH(h, y) && !TALK(h, y))
#define MUST_SAY(h, y) (HAS(hold[h], y) && !HAS(form[h], y))
#define UNANSWERED(h, y) ((y) != (h) && MUST_SAY(h, y) && !TALK(h, y) && !(met[AT(h, y)] >= spool[y] && spool[y] != 1))
#ifndef V_ONLY_NAMED_IS_WAITED_FOR
#define IS_WAITED_FOR(h, y) 1
#else
#define IS_WAITED_FOR(h, y) MUST_SAY(h, y)
#endif
#define UNDECIDED(h, y) (HELD_FOR_ME(h, y) || IS_EARLIER_LIVE(h, y) || (y) != (h) && IS_WAITED_FOR(h, y) && TALK(h, y) && IS_PENDING(h, y))
#ifdef V_EQUAL_DOES_NOT_GIVE_WAY
#define SAYS_EQUAL(h, y) 0
#else
#define SAYS_EQUAL(h, y) ((y) != (h) && TALK(h, y) && row[y] == OWN && gen[y] == gen[h])
#endif
#ifndef V_EARLIER_OWNER_IS_PASSED_OVER
#define IS_EARLIER_LIVE(h, y) ((y) != (h) && TALK(h, y) && row[y] == OWN && gen[y] < gen[h] && back[y] == 0)
#else
#define IS_EARLIER_LIVE(h, y) 0
#endif
#define HELD_FOR_ME(h, y) ((y) != (h) && TALK(h, y) && row[y] == SHADOW && gen[y] > gen[h] && NAMES_ME(h, y))
#define SETTLED(h) (ANY(SAYS_DONE, h) || ANY(SAYS_LATER, h) || ANY(SAYS_EQUAL, h))
inline settle(h) {
  if
  :: ANY(SAYS_DONE, h) -> best = WITHOUT(hold[h], h); finish(h, best)
  :: !ANY(SAYS_DONE, h) && (ANY(SAYS_LATER, h) || ANY(SAYS_EQUAL, h)) ->
    find_later(h);
    if
    :: who == 255 ->
      i = 0;
      do :: i < HUBS -> if :: SAYS_EQUAL(h, i) -> who = i; knows = spool[i]; j = starts[i] :: else fi; i++ :: else -> break od;
      i = 0
    :: else
    fi;
    owe[h] = WITHOUT(hold[h], who); follow(h, who, knows, best, j)
  :: else -> back[h] = 0
  fi
}
/* XOVER to everybody, before he is asked. */
#ifdef V_RETURN_DOES_NOT_TELL
#define TELL_ALL(h) skip
#else
#define TELL_ALL(h) tell_all(h)
#endif
inline tell_all(h) {
  i = 0;
  do
  :: i < HUBS * HUBS ->
    who = i / HUBS; knows = i % HUBS;
    if
    :: IS_STRICT && who != h && knows != h && knows != who && TALK(h, who) && (OUT(h, knows) || TALK(h, knows)) && low[AT(who, knows)] < low[AT(h, knows)] ->
      low[AT(who, knows)] = low[AT(h, knows)]
    :: else
    fi;
    i++
  :: else -> break
  od;
  i = 0
}
#define RETURN(h)                                                                                              \
  :: atomic { RUNS(h) && back[h] != 0 && row[h] == OWN && !ended[h] && !ANY(COULD_ANSWER, h) &&                    \
     (SETTLED(h) || (!ANY(UNANSWERED, h) && !ANY(UNDECIDED, h))) -> TELL_ALL(h); settle(h) }                      \
  :: atomic { !IS_STRICT && RUNS(h) && back[h] == 1 && row[h] == OWN && !ANY(COULD_ANSWER, h) && !SETTLED(h) && !ANY(UNDECIDED, h) && \
     ANY(UNANSWERED, h) -> back[h] = 2 }

/* --- copies: Copier::protect, ShadowKeeper::store, SpoolWriter::insert_shadow */

#define TAKES_COPY(x) (copy_gen[x] > buried[x] && copy_run[x] >= low[AT(x, copy[x] - 1)] && (row[x] == NONE || (row[x] == SHADOW && (gen[x] < copy_gen[x] || \
  (gen[x] == copy_gen[x] && own[x] == copy[x] - 1)))))
#define PROTECT(a, x)                                                                                          \
  :: atomic { copies > 0 && row[a] == OWN && back[a] == 0 && !has_copy[a] && TALK(a, x) && copy[x] == 0 ->          \
     copies--; hold[a] = hold[a] | BIT(x);                                                                      \
     copy[x] = (a) + 1; copy_gen[x] = gen[a]; copy_run[x] = starts[a]; copy_hold[x] = hold[a] }
#define COPY_COMES(x)                                                                                          \
  :: atomic { RUNS(x) && copy[x] != 0 ->                                                                         \
     if                                                                                                        \
     :: TAKES_COPY(x) ->                                                                                        \
       best = owe[x]; who = copy[x] - 1; no_row(x);                                                             \
       row[x] = SHADOW; gen[x] = copy_gen[x]; own[x] = who; own_spool[x] = (copy_run[x] >= spool[who] -> spool[who] : 1); \
       own_run[x] = copy_run[x]; hold[x] = copy_hold[x]; owe[x] = best;                                         \
       if :: TALK(x, who) && row[who] == OWN && gen[who] == gen[x] -> has_copy[who] = 1 :: else fi                \
     :: else                                                                                                   \
     fi;                                                                                                       \
     copy[x] = 0; copy_gen[x] = 0; copy_run[x] = 0; copy_hold[x] = 0 }

/* --- faults; what is over heals at any time */

/* A round of questions is shorter than restart_grace: no answer that it was given before counts any more. */
#define GRACE_OVER(h)                                                                                          \
  :: atomic { RUNS(h) && young[h] -> young[h] = 0; i = 0; do :: i < HUBS -> asked[i] = WITHOUT(asked[i], h); i++ :: else -> break od; i = 0 }

#define FAULTS(h)                                                                                              \
  :: atomic { up[h] && crashes > 0 -> crashes--; end_run(h); paused[h] = 0; up[h] = 0 }                           \
  :: atomic { up[h] && losses > 0 -> losses--; end_run(h); paused[h] = 0; up[h] = 0; lose_disk(h) }               \
  :: atomic { !up[h] -> begin_run(h); young[h] = 1 }                                                                          \
  :: atomic { RUNS(h) && pauses > 0 -> pauses--; paused[h] = 1 }                                                 \
  :: atomic { paused[h] -> paused[h] = 0 }                                                                      \
  :: atomic { lones > 0 && !lone[h] -> lones--; lone[h] = 1 }                                                    \
  :: atomic { lone[h] -> lone[h] = 0; REGISTER(h) }
#define CUT(a, b)                                                                                              \
  :: atomic { cuts > 0 && !cut[AT(a, b)] -> cuts--; cut[AT(a, b)] = 1; cut[AT(b, a)] = 1 }                       \
  :: atomic { cut[AT(a, b)] -> cut[AT(a, b)] = 0; cut[AT(b, a)] = 0 }

#define IS_CLEAN(h) assert(row[h] == NONE && out[h] == 0 && sup[h] == 0 && offer[h] == 0 && copy[h] == 0);

init {
  d_step {
    i = 0;
    do
    :: i < HUBS ->
      up[i] = 1; starts[i] = 1; spool[i] = 1; reg[i] = 1; j = 0;
      do :: j < HUBS -> met[AT(i, j)] = 1; low[AT(i, j)] = 1; j++ :: else -> break od;
      i++
    :: else -> break
    od;
    row[0] = OWN; gen[0] = 1; hold[0] = BIT(2); has_copy[0] = 1;
    row[2] = SHADOW; gen[2] = 1; own[2] = 0; own_spool[2] = 1; own_run[2] = 1; hold[2] = BIT(2);
    i = 0; j = 0
  };
  do
  LINKS(MEET)
  PAIRS(RUN_OUT)
  EACH(LEARNS_THAT_IT_ENDED)
  EACH(DELIVER)
  PAIRS(PUSH)
  PAIRS(HAND)
  EACH(OFFER_COMES)
  PAIRS(RESOLVE)
  PAIRS(ASK)
  PAIRS(NOTES_ASKER)
  PAIRS(TAKEOVER)
  PAIRS(OWNER_GONE)
  PAIRS(AUDIT)
  EACH(RETURN)
  PAIRS(PROTECT)
  EACH(COPY_COMES)
  EACH(GRACE_OVER)
  EACH(FAULTS)
  LINKS(CUT)
  :: timeout -> break
  od;
  skip;
  d_step {
    assert(delivered > 0);
    EACH(IS_CLEAN)
    all_done = 1
  }
}

#ifdef SETTLES
ltl settles { <> all_done }
#endif
