import { assert } from 'chai';
import { Secrets } from '../../writers/secrets.ts';

const PASSWORD = `p&ss "w/ör'd" <1>`;
const FORMS: readonly (readonly [form: string, text: string])[] = [
  ['as it is', PASSWORD],
  ['percent-encoded', encodeURIComponent(PASSWORD)],
  ['as in a form', encodeURIComponent(PASSWORD).replaceAll('%20', '+')],
  ['in JSON', JSON.stringify({ password: PASSWORD })],
  ['in JSON with escaped slashes', JSON.stringify({ password: PASSWORD }).replaceAll('/', '\\/')],
  ['in HTML', 'p&amp;ss &quot;w/ör&#39;d&quot; &lt;1&gt;'],
  ['in base64', Buffer.from(PASSWORD).toString('base64')],
  ['in base64 without padding', Buffer.from(PASSWORD).toString('base64').replaceAll('=', '')],
  ['in base64url', Buffer.from(PASSWORD).toString('base64url')],
];

describe('secrets', () => {
  for (const [form, text] of FORMS) {
    it(`are hidden ${form}`, () => {
      const shown = new Secrets([PASSWORD]).hide(`you sent: ${text}, which is wrong`);
      assert.include(shown, '***');
      for (const part of ['p&ss', 'p%26ss', 'p&amp;ss', 'w/ör', Buffer.from(PASSWORD).toString('base64').slice(0, 12)])
        assert.notInclude(shown, part);
    });
  }

  it('may hold anything, such as half a character', () => {
    assert.equal(new Secrets(['\ud83dsecret']).hide('a \ud83dsecret b'), 'a *** b');
  });
});
