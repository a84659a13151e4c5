/** The page, put together: views by the address behind `#`, and one event stream for all of them. */
import { byId } from './dom.js';
import { LiveView } from './live.js';
import { RulesView } from './rules.js';
import { follow } from './service.js';
import { SimulateView } from './simulate.js';
import { TryView } from './try.js';

const VIEWS = ['live', 'rules', 'simulate', 'try'];

const live = new LiveView();
const rules = new RulesView();
new SimulateView(() => rules.draft);
new TryView();

function showView() {
  const wanted = location.hash.slice(1);
  const view = VIEWS.includes(wanted) ? wanted : VIEWS[0];
  for (const name of VIEWS) byId(`view-${name}`).hidden = name !== view;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === `#${view}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  live.isShown = view === 'live';
}

const link = { state: 'lost', isBackendAway: false };

function showLink() {
  const { state, isBackendAway } = link;
  const words = { live: 'live', lost: 'no connection, trying again…' };
  byId('link').textContent = state === 'live' && isBackendAway ? 'live; the backend is away' : words[state];
  byId('link').className = `link ${state === 'live' && isBackendAway ? 'lost' : state}`;
}

addEventListener('hashchange', showView);
showView();
rules.refresh();

follow(
  '/v1/limits/events?history=true',
  (type, event) => {
    live.take(type, event);
    if (type === 'rules') rules.changed();
    if (type === 'backend') link.isBackendAway = event.state === 'away';
    if (type === 'backend') showLink();
  },
  (state) => {
    link.state = state;
    showLink();
  },
);
