// The old service: iron-session keeps each session in its cookie, encrypted.
import express from 'express';
import { getIronSession } from 'iron-session';

export const PASSWORD = 'a password of the old service, 32+ characters';

const PASSWORDS = new Map([['alice', 'open sesame'], ['bob', 'open sesame']]);
const FORM = '<form method=post><input name=user><input name=password type=password>\n'
    + '<button>Log in</button></form>';

export function service() {
    const app = express();
    app.use(express.urlencoded({ extended: false }));
    app.use((req, res, next) => {
        getIronSession(req, res, { password: PASSWORD, cookieName: 'session' })
            .then((session) => { req.session = session; next(); }, next);
    });

    app.get('/', (req, res) => {
        res.type('text').send(`hello ${req.session.user ?? 'stranger'}`);
    });

    app.get('/account', (req, res) => {
        const { user, language } = req.session;
        if (!user) return res.redirect('/login');
        res.type('text').send(`You are ${user}, language ${language}.`);
    });

    app.get('/login', (req, res) => res.send(FORM));

    app.post('/login', async (req, res) => {
        const { user, password } = req.body;
        if (!user || PASSWORDS.get(user) !== password) {
            return res.status(401).type('text').send('wrong user or password');
        }
        req.session.user = user;
        req.session.language = 'en';
        await req.session.save();
        res.redirect('/account');
    });

    app.post('/language', async (req, res) => {
        if (!req.session.user) return res.sendStatus(401);
        req.session.language = req.body.language;
        await req.session.save();
        res.redirect('/account');
    });

    app.post('/logout', (req, res) => {
        req.session.destroy();
        res.redirect('/');
    });

    return app;
}
